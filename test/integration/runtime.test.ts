import assert from "node:assert/strict";
import { join } from "node:path";
import type { ModelRunner } from "../../src/engine/runner.js";
import type { LoadOptions, LoadPhaseName } from "../../src/protocol.js";
import { probeCuda } from "../../src/runtime/load/device.js";
import { createRunner, loadModel } from "../../src/runtime/load/load-model.js";
import { DECODER_CONFIG, temporaryFolders, writeFiles } from "../support/model-fixture.js";
import { buildDecoder, type DecoderSpec } from "../support/onnx-builder.js";
import { runLogits } from "../support/run-logits.js";

const folder = temporaryFolders();
const OPTIONS = { dtype: "auto", device: "cpu", threads: 1, maxSequences: 4, runtime: "node" } as const;

function modelFolder(spec: DecoderSpec = {}, file = "onnx/model.onnx"): string {
  return writeFiles(folder(), { "config.json": DECODER_CONFIG, [file]: buildDecoder(spec).graph });
}

async function load(modelDir: string, more: Partial<LoadOptions> = {}): Promise<ModelRunner> {
  let now = 0;
  const { runner } = await loadModel(
    { ...OPTIONS, modelDir, ...more },
    () => now++,
    () => {},
  );
  opened.push(runner);
  return runner;
}

const opened: ModelRunner[] = [];
afterEach(async () => {
  for (const runner of opened.splice(0)) await runner.dispose();
});

const PROMPT = Int32Array.of(3, 14, 15, 9, 26, 5);

async function feed(runner: ModelRunner, slot: number, tokens: Int32Array, past: number): Promise<Float32Array> {
  const [logits] = await runLogits(runner, [{ slot, tokens, past }]);
  assert.ok(logits);
  return logits.slice();
}

/** The prompt in one run, then greedy steps: the tokens, and the last logits. */
async function generate(runner: ModelRunner, slot: number, prompt: Int32Array, steps: number): Promise<number[]> {
  let logits = await feed(runner, slot, prompt, 0);
  const out: number[] = [];
  for (let step = 0; step < steps; step++) {
    const best = logits.indexOf(Math.max(...logits));
    out.push(best);
    logits = await feed(runner, slot, Int32Array.of(best), prompt.length + step);
  }
  return out;
}

function assertClose(actual: Float32Array, expected: Float32Array, tolerance: number): void {
  assert.equal(actual.length, expected.length);
  const worst = actual.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[i] ?? Number.NaN))), 0);
  assert.ok(worst <= tolerance, `logits differ by ${worst}`);
}

const VARIANTS: [string, DecoderSpec, number][] = [
  ["fp32", {}, 1e-4],
  ["position ids", { positionIds: true }, 1e-4],
  ["int32 ids", { idType: "int32", positionIds: true }, 1e-4],
  ["float16 cache and logits", { type: "float16" }, 0.1],
  ["float16 cache, float32 logits", { type: "float16", logitsType: "float32" }, 0.1],
  ["num_logits_to_keep", { logitsToKeep: "num_logits_to_keep" }, 1e-4],
  ["layers of 1, 2 and 4 KV heads", { heads: 4, kvHeads: [1, 2, 4] }, 1e-4],
  ["shapes left to config.json", { symbolicShapes: true }, 1e-4],
];

for (const [name, spec, tolerance] of VARIANTS) {
  describe(`node runner, ${name}`, () => {
    let runner: ModelRunner;
    beforeEach(async () => {
      runner = await load(modelFolder(spec));
    });

    it("gives the same logits for a prompt at once, in chunks, and token by token", async () => {
      const whole = await feed(runner, 0, PROMPT, 0);
      assert.equal(whole.length, 32);
      assert.ok(whole.every(Number.isFinite) && new Set(whole).size > 16);
      await feed(runner, 1, PROMPT.subarray(0, 2), 0);
      assertClose(await feed(runner, 1, PROMPT.subarray(2), 2), whole, tolerance);
      let stepwise: Float32Array = new Float32Array(0);
      for (const [past, token] of PROMPT.entries()) stepwise = await feed(runner, 2, Int32Array.of(token), past);
      assertClose(stepwise, whole, tolerance);
    });

    it("lets the past matter", async () => {
      const one = await feed(runner, 0, PROMPT, 0);
      const other = await feed(runner, 1, Int32Array.of(7, 7, 7, 7, 7, 5), 0);
      assert.notDeepEqual(one, other);
    });

    it("starts a slot afresh at past 0 and after release", async () => {
      const first = await generate(runner, 0, PROMPT, 5);
      assert.deepEqual(await generate(runner, 0, PROMPT, 5), first);
      runner.release(0);
      assert.deepEqual(await generate(runner, 0, PROMPT, 5), first);
    });
  });
}

describe("node runner", () => {
  it("tells positions apart when the graph has position ids", async () => {
    const runner = await load(modelFolder({ positionIds: true }));
    await feed(runner, 0, Int32Array.of(4), 0);
    const second = await feed(runner, 0, Int32Array.of(4), 1);
    // Attention over equal values is the value itself: without positions both steps would be equal.
    assert.notDeepEqual(second, await feed(runner, 1, Int32Array.of(4), 0));
  });

  it("keeps slots apart and gives rows in order", async () => {
    const runner = await load(modelFolder());
    const prompts = [PROMPT, Int32Array.of(2), Int32Array.of(30, 29, 28)];
    const alone = [];
    for (const prompt of prompts) alone.push(await generate(runner, 3, prompt, 6));
    const together: number[][] = prompts.map(() => []);
    let rows = prompts.map((tokens, slot) => ({ slot, tokens, past: 0 }));
    for (let step = 0; step < 6; step++) {
      const logits = await runLogits(runner, rows);
      rows = rows.map(({ slot, tokens, past }, i) => {
        const row = logits[i] as Float32Array;
        const best = row.indexOf(Math.max(...row));
        together[i]?.push(best);
        return { slot, tokens: Int32Array.of(best), past: past + tokens.length };
      });
    }
    assert.deepEqual(together, alone);
  });

  it("lets other work in between rows", async () => {
    const runner = await load(modelFolder());
    let immediates = 0;
    const count = () => {
      immediates++;
      pending = setImmediate(count);
    };
    let pending = setImmediate(count);
    await runner.run([0, 1, 2, 3].map((slot) => ({ slot, tokens: PROMPT, past: 0 })));
    clearImmediate(pending);
    assert.ok(immediates >= 4, `the event loop turned ${immediates} times in four rows`);
  });

  it("describes the model", async () => {
    const modelDir = modelFolder({ type: "float16", heads: 4, kvHeads: [1, 2] }, "onnx/model_fp16.onnx");
    const { model, device } = await load(modelDir);
    const { name, weightBytes, rewrites, ...rest } = model;
    assert.match(rewrites?.[0] ?? "", /logits for the last positions only/);
    assert.equal(modelDir.endsWith(name), true);
    assert.ok(weightBytes > 1000);
    assert.deepEqual(rest, {
      dtype: "fp16",
      vocabSize: 32,
      contextLength: 64,
      layers: 2,
      kvHeads: 1,
      headDim: 8,
      // (1 + 2 heads) of 8 half floats, keys and values.
      kvBytesPerToken: 3 * 8 * 2 * 2,
      kvTensorBytesPerToken: 2 * 8 * 2,
    });
    assert.deepEqual(device, {
      requested: "cpu",
      provider: "cpu",
      kvCache: "cpu",
      reason: "The CPU was asked for.",
      runtime: { requested: "node", kind: "node", reason: "onnxruntime-node's binding was asked for." },
    });
  });

  const invalid: [string, { slot: number; tokens: Int32Array; past: number }, RegExp][] = [
    ["a slot it does not have", { slot: 4, tokens: PROMPT, past: 0 }, /slot 4 is not one of 4/],
    ["no tokens", { slot: 0, tokens: new Int32Array(0), past: 0 }, /no tokens/],
    ["a past that the slot does not hold", { slot: 0, tokens: PROMPT, past: 3 }, /holds 0 tokens, not 3/],
    ["more tokens than the context", { slot: 0, tokens: new Int32Array(65), past: 0 }, /would hold 65 tokens/],
    ["a token outside the vocabulary", { slot: 0, tokens: Int32Array.of(77), past: 0 }, /outside the vocabulary of 32/],
  ];
  for (const [name, row, message] of invalid) {
    it(`refuses ${name}`, async () => {
      const runner = await load(modelFolder());
      await assert.rejects(runner.run([row]), { code: "inference_failed", message });
    });
  }

  it("leaves a slot as it was when a run fails", async () => {
    // The graph has 8 positions and the configuration promises 64: the ninth fails inside ONNX Runtime.
    const runner = await load(modelFolder({ positionIds: true, context: 8 }));
    await feed(runner, 0, PROMPT, 0);
    const tooLong = { slot: 0, tokens: Int32Array.of(1, 2, 3), past: 6 };
    await assert.rejects(runner.run([tooLong]), { code: "inference_failed", message: /could not run the model/ });
    const after = await feed(runner, 0, Int32Array.of(8), 6);
    await feed(runner, 1, PROMPT, 0);
    assert.deepEqual(after, await feed(runner, 1, Int32Array.of(8), 6));
  });

  it("forgets what a slot held once it is started afresh, even if that fails", async () => {
    const runner = await load(modelFolder({ positionIds: true, context: 8 }));
    await feed(runner, 0, PROMPT, 0);
    await assert.rejects(runner.run([{ slot: 0, tokens: new Int32Array(9), past: 0 }]), { code: "inference_failed" });
    await assert.rejects(runner.run([{ slot: 0, tokens: PROMPT, past: PROMPT.length }]), { message: /holds 0 tokens/ });
  });

  it("does not grow", async function () {
    this.timeout(60_000);
    const runner = await load(modelFolder({ headDim: 64, heads: 8, kvHeads: [8, 8] }));
    const round = async () => {
      for (let i = 0; i < 20; i++) await generate(runner, i % 4, new Int32Array(40).fill(3), 20);
    };
    await round();
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 5; i++) await round();
    const grown = process.memoryUsage().rss - before;
    // Each round makes 130 MB of tensors; ones that stayed would show as 650 MB.
    assert.ok(grown < 150e6, `${Math.round(grown / 1e6)} MB more after 2,000 steps`);
  });
});

describe("loadModel", () => {
  it("times its phases and tells of each as it starts", async () => {
    const heard: LoadPhaseName[] = [];
    let now = 100;
    const options = { ...OPTIONS, modelDir: modelFolder() };
    const { runner, phases } = await loadModel(
      options,
      () => now++,
      (phase) => heard.push(phase),
    );
    opened.push(runner);
    assert.deepEqual(heard, ["session.create", "warmup"]);
    assert.deepEqual(phases, [
      { name: "session.create", start: 100, end: 101 },
      { name: "warmup", start: 102, end: 103 },
    ]);
  });

  it("leaves every slot free", async () => {
    const runner = await load(modelFolder(), { maxSequences: 1 });
    await assert.rejects(runner.run([{ slot: 0, tokens: PROMPT, past: 2 }]), { message: /holds 0 tokens/ });
  });

  it("takes the asked-for dtype", async () => {
    const modelDir = modelFolder();
    writeFiles(modelDir, { "onnx/model_q4.onnx": buildDecoder({ kvHeads: [1] }).graph });
    assert.equal((await load(modelDir)).model.dtype, "q4");
    assert.equal((await load(modelDir, { dtype: "fp32" })).model.layers, 2);
    await assert.rejects(load(modelDir, { dtype: "q4f16" }), { code: "model_missing", message: /It has: fp32, q4\./ });
  });

  it("loads external data in several files, and runs the graph the same on every runtime", async () => {
    const { graph, files } = buildDecoder({ externalData: "model.onnx_data", externalHead: "model.onnx_data_1" });
    assert.deepEqual(Object.keys(files), ["model.onnx_data", "model.onnx_data_1"]);
    const inFolder = Object.fromEntries(Object.entries(files).map(([name, data]) => [`onnx/${name}`, data]));
    const directory = writeFiles(folder(), { "config.json": DECODER_CONFIG, "onnx/model.onnx": graph, ...inFolder });
    const whole = await load(modelFolder());
    const [expected] = await runLogits(whole, [{ slot: 0, tokens: Int32Array.of(3, 4, 5), past: 0 }]);
    for (const runtime of ["native", "node"] as const) {
      const runner = await load(directory, { runtime });
      const [given] = await runLogits(runner, [{ slot: 0, tokens: Int32Array.of(3, 4, 5), past: 0 }]);
      assert.deepEqual(given, expected, runtime);
      const bytes = Object.values(files).reduce((sum, data) => sum + data.length, graph.length);
      assert.equal(runner.model.weightBytes, bytes);
    }
  });

  it("loads external data", async () => {
    const { graph, external } = buildDecoder({ externalData: "model.onnx_data" });
    const files = { "config.json": DECODER_CONFIG, "onnx/model.onnx": graph, "onnx/model.onnx_data": external };
    const runner = await load(writeFiles(folder(), files));
    assert.equal(runner.model.weightBytes, graph.length + external.length);
    const inline = await load(modelFolder());
    assert.deepEqual(await feed(runner, 0, PROMPT, 0), await feed(inline, 0, PROMPT, 0));
  });

  it("refuses external data that is missing or cut off", async () => {
    const { graph, external } = buildDecoder({ externalData: "model.onnx_data" });
    const files = { "config.json": DECODER_CONFIG, "onnx/model.onnx": graph };
    const expected = { code: "model_invalid", message: /the weights beside it are missing or shorter/ };
    await assert.rejects(load(writeFiles(folder(), files)), expected);
    const cut = { ...files, "onnx/model.onnx_data": external.subarray(0, 100) };
    await assert.rejects(load(writeFiles(folder(), cut)), expected);
  });

  for (const share of [0.01, 0.5, 0.999]) {
    it(`refuses a graph cut off at ${share * 100} %`, async () => {
      const { graph } = buildDecoder();
      const cut = { "config.json": DECODER_CONFIG, "onnx/model.onnx": graph.subarray(0, graph.length * share) };
      await assert.rejects(load(writeFiles(folder(), cut)), { code: "model_invalid", message: /truncated or damaged/ });
    });
  }

  it("refuses garbage, a graph without a cache, and unknown inputs", async () => {
    const garbage = { "config.json": DECODER_CONFIG, "onnx/model.onnx": "no graph at all".repeat(50) };
    await assert.rejects(load(writeFiles(folder(), garbage)), { code: "model_invalid" });
    await assert.rejects(load(modelFolder({ kvHeads: [] })), {
      code: "model_unsupported",
      message: /no past_key_values\.N\.key/,
    });
    const position = { name: "cache_position", type: "int64", shape: ["sequence_length"] } as const;
    await assert.rejects(load(modelFolder({ extraInputs: [position] })), {
      code: "model_unsupported",
      message: /does not know: cache_position/,
    });
  });

  it("refuses a missing directory and a directory without a graph", async () => {
    await assert.rejects(load(join(folder(), "none")), { code: "model_missing" });
    await assert.rejects(load(writeFiles(folder(), { "config.json": DECODER_CONFIG })), { code: "model_missing" });
  });

  const { library, device } = probeCuda();
  const missing = library ?? device;

  it("names what is wrong with config.json, whatever follows from it", async () => {
    const config = { ...DECODER_CONFIG, vocab_size: "many" };
    const graph = buildDecoder().graph;
    for (const runtime of ["node", "native"] as const) {
      for (const files of [{ "onnx/model.onnx": graph }, { "onnx/model.onnx": graph.subarray(0, 100) }, {}]) {
        const modelDir = writeFiles(folder(), { "config.json": config, ...files });
        await assert.rejects(load(modelDir, { runtime }), {
          code: "model_invalid",
          message: /config\.json.*vocab_size/,
        });
      }
    }
  });

  it("falls back to the CPU for auto, and says why", async function () {
    if (missing === undefined) this.skip();
    const runner = await load(modelFolder(), { device: "auto" });
    const { runtime: _, ...device } = runner.device;
    assert.deepEqual(device, {
      requested: "auto",
      provider: "cpu",
      kvCache: "cpu",
      reason: `CUDA is not available: ${missing}.`,
    });
  });

  it("refuses CUDA where it is not", async function () {
    if (missing === undefined) this.skip();
    await assert.rejects(load(modelFolder(), { device: "cuda" }), { code: "device_unavailable", message: /CUDA/ });
  });

  it("passes on why ONNX Runtime cannot start CUDA, and falls back from it for auto alone", async function () {
    if (missing === undefined) this.skip();
    const options: LoadOptions = { ...OPTIONS, modelDir: modelFolder() };
    const cuda = { provider: "cuda", deviceId: 0, reason: "It looked well." } as const;
    await assert.rejects(createRunner(options, { ...cuda, requested: "cuda" }), {
      code: "device_unavailable",
      message: /CUDA device 0 cannot be used: .*Failed to load shared library/,
    });
    const runner = await createRunner(options, { ...cuda, requested: "auto" });
    opened.push(runner);
    assert.equal(runner.device.provider, "cpu");
    assert.match(runner.device.reason, /^CUDA did not start: .*Failed to load shared library/);
  });

  it("takes the CPU for auto where a process before found CUDA to fail, whatever is here", async () => {
    const runner = await load(modelFolder(), { device: "auto", cudaFailure: "it crashed." });
    const { requested, provider, reason } = runner.device;
    assert.deepEqual([requested, provider, reason], ["auto", "cpu", "CUDA did not start: it crashed."]);
  });

  it("gives a model that is damaged its own error, not CUDA's", async () => {
    const modelDir = writeFiles(folder(), { "config.json": DECODER_CONFIG, "onnx/model.onnx": "x".repeat(500) });
    const device = { requested: "auto", provider: "cuda", deviceId: 0, reason: "It looked well." } as const;
    await assert.rejects(createRunner({ ...OPTIONS, modelDir }, device), { code: "model_invalid" });
  });
});
