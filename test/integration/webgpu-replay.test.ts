/** What the native runner takes for granted of captured runs, seen in ONNX Runtime itself: with WebGPU, on a GPU in software. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { softwareGpu } from "../support/chromium.js";
import { DECODER_CONFIG, temporaryFolders, writeFiles } from "../support/model-fixture.js";
import { buildDecoder } from "../support/onnx-builder.js";
import type { WebGpuReport } from "../support/webgpu-replay-child.js";

const CHILD = fileURLToPath(new URL("../support/webgpu-replay-child.js", import.meta.url));

const folder = temporaryFolders();

describe("captured runs of ONNX Runtime", () => {
  let report: WebGpuReport;

  before(function () {
    const env = { ...process.env, ...softwareGpu(this), ORT_DISABLE_TELEMETRY: "1" };
    const files = { "config.json": DECODER_CONFIG, "onnx/model.onnx": buildDecoder().graph };
    const argv = [CHILD, writeFiles(folder(), files)];
    const { stdout, stderr, status } = spawnSync(process.execPath, argv, { encoding: "utf8", env, timeout: 100_000 });
    assert.equal(status, 0, stderr);
    report = JSON.parse(stdout) as WebGpuReport;
  });

  it("read and write where they did when they were captured, by id", () => {
    assert.deepEqual(report.runs, {
      "captured, x is 1": 11,
      "replayed, x is 2": 24,
      "replayed through another binding: its own output": 0,
      "replayed through another binding: the captured output, x is 3": 39,
      "captured under another id, x is 2": 24,
      "not replayed, x is 4": 56,
      "replayed after that, x is 3": 39,
    });
  });

  it("are the native runner's decode steps, with the CPU's logits, before and after its cache has moved", () => {
    const { error, replay, captures } = report.replayed;
    assert.equal(captures, 2);
    assert.equal(replay?.on, true, replay?.reason);
    assert.ok(error < 1e-3, `logits are ${error} off`);
  });

  it("are given up by it where replays leave the logits as they were", () => {
    const { error, replay } = report.misplaced;
    assert.ok(error < 1e-3, `logits are ${error} off`);
    assert.equal(replay?.on, false);
    assert.match(replay?.reason ?? "", /^A replayed step failed: its logits are .+ of their spread off$/);
  });

  it("are refused for a graph with operators on the CPU, in words that are known", () => {
    assert.match(report.obstacle ?? "", /operators run on the CPU/);
  });
});
