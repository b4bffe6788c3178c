import assert from "node:assert/strict";
import { join } from "node:path";
import { type CudaRun, checkCudaRun, runOnCuda } from "../../../src/doctor/cuda-run.js";
import { temporaryFolders, writeFiles } from "../../support/model-fixture.js";
import { cures, lines } from "./findings.js";

const folder = temporaryFolders();

function runChild(script: string, timeoutMs = 20_000): Promise<CudaRun> {
  const child = join(writeFiles(folder(), { "child.cjs": Buffer.from(script) }), "child.cjs");
  return runOnCuda(1, timeoutMs, child);
}

describe("doctor: a model on a GPU", () => {
  it("is tried in a process that says what happened", async () => {
    const answer = "JSON.stringify({ ran: false, why: process.argv[2] + process.env.ORT_DISABLE_TELEMETRY })";
    assert.deepEqual(await runChild(`console.log(${answer})`), { ran: false, why: "11" });
  });

  it("may crash, or never end", async () => {
    assert.deepEqual(await runChild('process.kill(process.pid, "SIGSEGV")'), {
      ran: false,
      why: "its process ended (SIGSEGV)",
    });
    assert.deepEqual(await runChild("setInterval(() => {}, 1000)", 200), {
      ran: false,
      why: "it took more than 0.2 s",
    });
  });

  it("is a problem where it fails and was asked for by name", () => {
    assert.deepEqual(lines([checkCudaRun(1, { ran: true }, true)]), ["ok a model ran on cuda:1"]);
    const failed = { ran: false, why: "CUDA failure 35" } as const;
    assert.deepEqual(lines([checkCudaRun(0, failed, true)]), ["problem no model runs on cuda:0: CUDA failure 35"]);
    assert.match(lines([checkCudaRun(0, failed, false)])[0] ?? "", /^warning /);
    assert.match(cures([checkCudaRun(0, failed, true)])[0] ?? "", /--device cpu/);
  });
});
