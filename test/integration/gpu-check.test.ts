/** The check of a GPU as a user starts it, on the CPU. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { DeviceChoice } from "../../src/protocol.js";
import { findGraphFile } from "../../src/runtime/files/graph-file.js";
import { openModelDirectory } from "../../src/runtime/files/model-directory.js";
import { prepareGraph } from "../../src/runtime/graph/prepare-graph.js";
import { probeCuda } from "../../src/runtime/load/device.js";
import { createNativeRunner } from "../../src/runtime/native/native-runner.js";
import { halfPrecision } from "../bench/model/bench-models.js";
import { settingsFor } from "../gpu/check/settings.js";
import { temporaryFolders } from "../support/model-fixture.js";
import { requirePart } from "../support/requirements.js";
import { runLogits } from "../support/run-logits.js";
import { widenBfloat16 } from "../support/widen-bfloat16.js";

const MAIN = fileURLToPath(new URL("../gpu/check/main.js", import.meta.url));
const folder = temporaryFolders();
const CPU: DeviceChoice = { requested: "cpu", provider: "cpu", reason: "" };

const check = (...flags: string[]) =>
  spawnSync(process.execPath, [MAIN, ...flags], { encoding: "utf8", timeout: 60_000 });

describe("gpu:check", function () {
  this.timeout(60_000);

  it("says in one line what is missing where there is no GPU", function () {
    const { library, device } = probeCuda();
    const available = library !== undefined || device !== undefined;
    requirePart(this, { name: "a machine without a GPU", available, why: "it has one", mandatoryInCi: false });
    const { status, stdout, stderr } = check();
    assert.equal(status, 1);
    assert.equal(stdout, "");
    assert.match(stderr, /^No GPU can be checked here: .+ Rehearse with --device cpu\.\n$/);
  });

  it("rehearses on the CPU, and keeps the rows in a file", () => {
    const file = join(folder(), "report.json");
    const { status, stdout, stderr } = check("--device", "cpu", "--only", "fp16 n", "--json", file);
    assert.equal(status, 0, stderr);
    const { rows } = JSON.parse(readFileSync(file, "utf8")) as { rows: { name: string; value: unknown }[] };
    const names = rows.map(({ name }) => name);
    for (const runtime of ["native", "node"])
      assert.ok(names.includes(`fp16 ${runtime}, 16 streams`), names.join("\n"));
    const ratio = rows.find(({ name }) => name === "fp16 native, 16 streams: over node");
    assert.ok(Number(ratio?.value) > 0);
    assert.match(stdout, /\| fp16 native, 64 streams \| [\d.]+ tokens\/s \|/);
  });

  it("rehearses a real exporter's graphs but for those in bfloat16, which it says", () => {
    const { status, stdout, stderr } = check("--device", "cpu", "--only", "exported");
    assert.equal(status, 0, stderr);
    for (const runtime of ["native", "node"]) {
      assert.match(
        stdout,
        new RegExp(`model_q4f16\\.onnx ${runtime}, ids as recorded \\| 72 of 72 tokens \\| at least 72 \\| yes`),
      );
    }
    assert.match(stdout, /model_bf16\.onnx native, ids as recorded \| skipped: the CPU has no kernels for bfloat16 \|/);
  });

  it("writes a bf16 model that is the fp16 one, but for rounding", async () => {
    const modelDir = await halfPrecision(folder(), settingsFor("cpu").shape);
    const directory = openModelDirectory(modelDir);
    const logits: Float32Array[] = [];
    for (const dtype of ["fp16", "bf16"] as const) {
      const graph = prepareGraph(findGraphFile(modelDir, dtype, "cuda"));
      const options = { directory, device: CPU, threads: 1, maxSequences: 1 };
      // The CPU runs it in single precision; its values are bfloat16.
      const runner = await createNativeRunner({ ...options, graph: dtype === "bf16" ? widenBfloat16(graph) : graph });
      const [row] = await runLogits(runner, [{ slot: 0, tokens: Int32Array.of(3, 14, 15, 9, 26, 5), past: 0 }]);
      logits.push(Float32Array.from(row ?? []));
      await runner.dispose();
    }
    const [half = new Float32Array(), brain = new Float32Array()] = logits;
    const size = Math.sqrt(half.reduce((sum, value) => sum + value ** 2, 0) / half.length);
    const worst = half.reduce((most, value, id) => Math.max(most, Math.abs(value - (brain[id] as number))), 0) / size;
    // Other weights, or another sequence, are at about 4.
    assert.ok(worst > 0 && worst < 0.1, `${worst}`);
  });

  it("tells what a start would find in its rehearsal", () => {
    const { status, stdout, stderr } = check("--device", "cpu", "--only", "rehearsal");
    assert.equal(status, 0, stderr);
    for (const name of ["tiny fp16 rehearsal: chunks", "q4f16 rehearsal: moves", "fp16 rehearsal, before a warm-up"]) {
      assert.match(stdout, new RegExp(`\\| ${name} \\| [\\d.e-]+ (of the way to another text|ms) \\|`));
    }
  });

  it("sets replayed steps against plain ones", () => {
    const { status, stdout, stderr } = check("--device", "cpu", "--only", "replay");
    assert.equal(status, 0, stderr);
    assert.match(
      stdout,
      /\| fp16, 4 side by side: ids of replayed steps equal to plain ones \| 96 of 96 tokens \| .+ yes \|/,
    );
    assert.match(stdout, /\| fp16, 64 side by side: replayed over plain \| [\d.]+ times \|/);
    assert.match(stdout, /\| fp16: replay \| none: /);
  });

  it("finds in a cache what was put there, after moves and growth", () => {
    const { status, stdout, stderr } = check("--device", "cpu", "--only", "cache moves");
    assert.equal(status, 0, stderr);
    assert.match(stdout, /\| cache: wrong tokens after that \| 0 \| at most 0 \| yes \|/);
    assert.match(stdout, /\| cache: two rows of a full context exchanged \| [\d.]+ us \|/);
  });

  it("ends with 1 where an answer is missing", () => {
    const { status, stdout } = check("--device", "cpu", "--only", "device memory", "--within", "0");
    assert.equal(status, 1);
    assert.match(stdout, /\| device memory \| failed: no time was left \| {2}\| NO \|/);
  });
});
