import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const PARENT = fileURLToPath(new URL("../support/bench-parent-fixture.js", import.meta.url));

describe("a benchmark's own server", () => {
  it("ends with the benchmark, also where that is killed", async () => {
    const parent = spawn(process.execPath, [PARENT], { stdio: ["ignore", "pipe", "inherit"] });
    const [address] = (await once(createInterface(parent.stdout), "line")) as [string];
    assert.equal((await fetch(`${address}/health`)).status, 200);
    parent.kill("SIGKILL");
    const listens = () =>
      fetch(`${address}/health`).then(
        () => true,
        () => false,
      );
    while (await listens()) await new Promise((resolve) => setTimeout(resolve, 20));
  });
});
