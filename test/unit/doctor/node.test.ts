import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { checkNode, type NodeProcess, thisNode } from "../../../src/doctor/node.js";
import { checkThreads, shareWithThread } from "../../../src/doctor/threads.js";
import { cures, lines } from "./findings.js";

const NODE: NodeProcess = { version: "v22.20.0", platform: "linux", arch: "x64", glibc: "2.36" };

describe("doctor: Node", () => {
  it("takes what package.json takes", () => {
    const { engines } = JSON.parse(readFileSync("package.json", "utf8")) as { engines: { node: string } };
    assert.equal(engines.node, ">=20.19");
    for (const version of ["v20.19.0", "v22.0.0", "v24.1.0"]) {
      assert.deepEqual(lines(checkNode({ ...NODE, version })), [`ok Node ${version} on linux/x64, glibc 2.36`]);
    }
    for (const version of ["v18.20.4", "v20.18.3"]) {
      assert.deepEqual(lines(checkNode({ ...NODE, version })), [`problem Node ${version} is too old`]);
    }
  });

  it("finds a C library that ONNX Runtime has no build for", () => {
    const found = checkNode({ ...NODE, glibc: undefined });
    assert.match(lines(found)[1] ?? "", /^problem the C library is not glibc/);
    assert.match(cures(found)[0] ?? "", /musl/);
  });

  it("warns of systems that nobody tests", () => {
    assert.match(lines(checkNode({ ...NODE, platform: "darwin", glibc: undefined }))[1] ?? "", /^warning darwin/);
  });

  it("looks at the process it runs in", () => {
    assert.equal(thisNode().version, process.version);
    assert.match(thisNode().glibc ?? "", /^2\.\d+/);
  });

  it("tries whether threads share memory", async () => {
    assert.deepEqual(lines(await checkThreads(shareWithThread)), ["ok worker threads share memory"]);
    assert.match(lines(await checkThreads(async () => 0))[0] ?? "", /^problem a worker thread/);
    assert.match(lines(await checkThreads(() => Promise.reject(new Error("EAGAIN"))))[0] ?? "", /^problem/);
  });
});
