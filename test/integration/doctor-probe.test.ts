/** The doctor asks a driver in a process of its own. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { probeGpus } from "../../src/doctor/gpu-probe.js";

describe("doctor: GPU probe", function () {
  this.timeout(20_000);
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "vitrine-probe-"));
  });

  after(() => rm(folder, { recursive: true }));

  async function probe(code: string, timeoutMs = 15_000) {
    const child = join(folder, "child.mjs");
    await writeFile(child, code);
    return probeGpus(timeoutMs, child);
  }

  it("asks the driver of this machine", async () => {
    assert.ok(["no-library", "broken", "driver"].includes((await probeGpus(15_000)).kind));
  });

  it("is what that process says", async () => {
    const said = { kind: "broken", why: "Driver Not Loaded" } as const;
    assert.deepEqual(await probe(`console.log('${JSON.stringify(said)}')`), said);
  });

  it("survives that process's hanging or crashing", async () => {
    assert.deepEqual(await probe("while (true);", 300), {
      kind: "broken",
      why: "NVML did not answer within 0.3 s",
    });
    assert.deepEqual(await probe("process.abort()"), { kind: "broken", why: "NVML ended its process (SIGABRT)" });
  });
});
