import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeArchive } from "../../gpu/check/archive.js";
import { pinned } from "../../gpu/check/libraries.js";
import { temporaryFolders, writeFiles } from "../../support/model-fixture.js";
import { PACKAGE_ROOT } from "../../support/vitrine-process.js";

const folder = temporaryFolders();
const script = join(PACKAGE_ROOT, "test", "gpu", "check", "unpack.sh");
const PART_BYTES = 1000;

/** Content that does not shrink: xorshift32. */
function noiseOf(bytes: number): Uint8Array {
  let state = 1;
  return Buffer.alloc(bytes).map(() => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 0xff;
  });
}
const noise = noiseOf(5000);

async function packed(): Promise<{ parts: string; names: string[] }> {
  // Node's binary would take seconds to compress: this one calls it.
  const node = `#!/bin/sh\nexec "${process.execPath}" "$@"\n`;
  const tree = { "tree/a/b.bin": noise, "tree/c.txt": Buffer.from("c"), "tree/cuda/lib.so": noise };
  const root = writeFiles(folder(), { node: Buffer.from(node), ...tree });
  const parts = join(root, "parts");
  mkdirSync(parts);
  const source = { folder: join(root, "tree"), optional: "cuda", node: join(root, "node"), script };
  return { parts, names: await writeArchive(source, parts, PART_BYTES) };
}

function unpack(parts: string, where: string) {
  return spawnSync("sh", [join(parts, "unpack.sh")], { cwd: where, env: { PATH: process.env.PATH }, encoding: "utf8" });
}

describe("the archive for a GPU machine", () => {
  it("comes back from its parts", async () => {
    const { parts, names } = await packed();
    assert.ok(names.length > 4, `only ${names.length} parts`);
    assert.ok(names.every((name) => statSync(join(parts, name)).size <= PART_BYTES));
    const where = folder();
    const { status, stderr } = unpack(parts, where);
    assert.equal(status, 0, stderr);
    assert.ok(readFileSync(join(where, "a", "b.bin")).equals(noise));
    assert.equal(readFileSync(join(where, "c.txt"), "utf8"), "c");
    assert.ok(readFileSync(join(where, "cuda", "lib.so")).equals(noise));
  });

  it("comes back without CUDA's libraries where all their parts were left behind, and says so", async () => {
    const { parts, names } = await packed();
    const [last = "", ...others] = names.filter((name) => name.startsWith("cuda.")).reverse();
    for (const name of others) rmSync(join(parts, name));
    assert.notEqual(unpack(parts, folder()).status, 0, "one part of several is an accident");
    rmSync(join(parts, last));
    const where = folder();
    const { status, stdout, stderr } = unpack(parts, where);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /LD_LIBRARY_PATH/);
    assert.ok(readFileSync(join(where, "a", "b.bin")).equals(noise));
    assert.ok(!existsSync(join(where, "cuda")));
  });

  it("is not unpacked where a part is damaged", async () => {
    const { parts, names } = await packed();
    const damaged = join(parts, names.at(-1) as string);
    writeFileSync(damaged, Buffer.concat([readFileSync(damaged), Buffer.from("x")]));
    const { status, stderr } = unpack(parts, folder());
    assert.notEqual(status, 0);
    assert.match(stderr, /checksum/);
  });

  it("has the provider of onnxruntime-node's version", () => {
    const { dependencies } = JSON.parse(readFileSync(join(PACKAGE_ROOT, "package.json"), "utf8")) as {
      dependencies: Record<string, string>;
    };
    assert.ok(pinned().includes(`onnxruntime-gpu==${dependencies["onnxruntime-node"]}`));
  });
});
