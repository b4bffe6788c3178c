/** The check of a GPU as a user starts it, on the CPU. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { DeviceChoice } from "../../src/protocol.js";
import { findGraphFile } from "../../src/runtime/files/graph-file.js";
import { openModelDirectory } from "../../src/runtime/files/model-directory.js";
import { prepareGraph } from "../../src/runtime/graph/prepare-graph.js";
import { probeCuda } from "../../src/runtime/load/device.js";
import { createNativeRunner } from "../../src/runtime/native/native-runner.js";
import { halfPrecision } from "../bench/model/bench-models.js";
import type { ReportFile } from "../gpu/check/report.js";
import type { SectionOrder } from "../gpu/check/section-process.js";
import { SECTIONS } from "../gpu/check/sections.js";
import { settingsFor } from "../gpu/check/settings.js";
import { temporaryFolders, writeFiles } from "../support/model-fixture.js";
import { requirePart } from "../support/requirements.js";
import { runLogits } from "../support/run-logits.js";
import { widenBfloat16 } from "../support/widen-bfloat16.js";

const MAIN = fileURLToPath(new URL("../gpu/check/main.js", import.meta.url));
const SECTION = fileURLToPath(new URL("../gpu/check/section-child.js", import.meta.url));
const folder = temporaryFolders();
const CPU: DeviceChoice = { requested: "cpu", provider: "cpu", reason: "" };

const check = (...flags: string[]) => checkWith(process.env, ...flags);
const checkWith = (env: NodeJS.ProcessEnv, ...flags: string[]) =>
  spawnSync(process.execPath, [MAIN, ...flags], { encoding: "utf8", timeout: 60_000, env });

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pause(5);
}

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
    assert.match(stdout, /\| fp16: replay \| skipped: on the CPU /);
  });

  it("finds in a cache what was put there, after moves and growth", () => {
    const { status, stdout, stderr } = check("--device", "cpu", "--only", "cache moves");
    assert.equal(status, 0, stderr);
    assert.match(stdout, /\| cache: wrong tokens after that \| 0 \| at most 0 \| yes \|/);
    assert.match(stdout, /\| cache: two rows of a full context exchanged \| [\d.]+ us \|/);
  });

  describe("beside PyTorch", () => {
    /** Modules that `python3` finds, in place of whatever it has. */
    const withModules = (modules: Readonly<Record<string, string>>): NodeJS.ProcessEnv => {
      const files = Object.entries(modules).map(([name, text]) => [`${name}.py`, Buffer.from(text)]);
      return { ...process.env, PYTHONPATH: writeFiles(folder(), Object.fromEntries(files)) };
    };
    const rehearse = (env: NodeJS.ProcessEnv) => checkWith(env, "--device", "cpu", "--only", "PyTorch");
    const TORCH = '__version__ = "9.1"\nfloat32 = None\ndef randint(low, high, shape, device): return shape\n';
    const TRANSFORMERS = `
class Qwen2Config:
    def __init__(self, **known): pass
class Qwen2ForCausalLM:
    def __init__(self, config): pass
    def to(self, device, dtype): return self
    def eval(self): return self
    def generate(self, prompt, max_new_tokens, **more): GENERATE
`;

    before(function () {
      const available = spawnSync("python3", ["--version"]).status === 0;
      requirePart(this, { name: "Python", available, why: "there is no python3 command", mandatoryInCi: true });
    });

    it("tells transformers' tokens a second", () => {
      const generate = "import time; time.sleep(max_new_tokens / 1000)";
      const { stdout } = rehearse(
        withModules({ torch: TORCH, transformers: TRANSFORMERS.replace("GENERATE", generate) }),
      );
      assert.match(stdout, /\| fp16 PyTorch, 1 stream \| [\d.]+ tokens\/s, torch 9\.1 \|/);
    });

    it("says what Python said last where that fails", () => {
      const generate = 'raise RuntimeError("no kernel image")';
      const { stdout } = rehearse(
        withModules({ torch: TORCH, transformers: TRANSFORMERS.replace("GENERATE", generate) }),
      );
      assert.match(stdout, /\| fp16 PyTorch, 1 stream \| failed: RuntimeError: no kernel image \|/);
    });

    it("is skipped where it is not there", () => {
      const { status, stdout } = rehearse(withModules({ torch: "raise ImportError()" }));
      assert.equal(status, 0);
      assert.match(stdout, /\| fp16 PyTorch, 1 stream \| skipped: python3 has no PyTorch with transformers here \|/);
    });
  });

  it("ends with 1 where an answer is missing, and goes on from there", () => {
    const file = join(folder(), "report.json");
    const run = (...more: string[]) => check("--device", "cpu", "--json", file, ...more);
    const { status, stdout } = run("--only", "device memory", "--within", "0");
    assert.equal(status, 1);
    assert.match(stdout, /\| device memory \| failed: no time was left; .+--resume.+ \| {2}\| NO \|/);
    assert.match(stdout, /\nMet: 0 of 1; skipped: 0\.\n- not met: device memory: failed/);
    // As if all others had been measured.
    const report = JSON.parse(readFileSync(file, "utf8")) as ReportFile;
    const done = Object.fromEntries(SECTIONS.slice(1).map(({ name }) => [name, 1]));
    writeFileSync(file, JSON.stringify({ ...report, done, rows: [{ section: "service", name: "kept", value: 3 }] }));
    const resumed = run("--resume");
    assert.equal(resumed.status, 0, resumed.stderr);
    assert.match(resumed.stdout, /\| kept \| 3 \|.*\n\| memory bandwidth \| [\d.]+ GB/);
  });

  it("that is killed leaves its rows", async () => {
    const file = join(folder(), "report.json");
    const running = spawn(process.execPath, [MAIN, "--device", "cpu", "--only", "fp16 node", "--json", file]);
    await until(() => existsSync(file));
    running.kill("SIGKILL");
    const { done, rows } = JSON.parse(readFileSync(file, "utf8")) as ReportFile;
    assert.deepEqual(done, {});
    assert.ok(rows.length > 0);
  });

  it("has sections that end with it", async () => {
    const order: SectionOrder = { section: "rehearsal", device: "cpu", model: "" };
    const stdio = ["pipe", "ignore", "ignore", "pipe"] as const;
    const section = spawn(process.execPath, [SECTION, JSON.stringify(order)], { stdio: [...stdio], detached: true });
    section.stdin?.end();
    const [, signal] = await once(section, "exit");
    assert.equal(signal, "SIGKILL");
  });

  it("names the sections where none is called so", () => {
    const { status, stderr } = check("--device", "cpu", "--only", "fp17");
    assert.equal(status, 1);
    assert.match(stderr, /^--only fp17: no section is called so\. There are: device memory, .+\.\n$/);
  });
});
