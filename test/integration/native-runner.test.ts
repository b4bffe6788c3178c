import assert from "node:assert/strict";
import { OrtBinding, OrtEnvironment, OrtMemory, OrtSession } from "../../native/ort.js";
import type { ModelRunner, RunnerRow } from "../../src/engine/runner.js";
import type { VitrineError } from "../../src/errors.js";
import type { Dtype, RuntimeRequest } from "../../src/protocol.js";
import { findGraphFile } from "../../src/runtime/files/graph-file.js";
import { openModelDirectory, resolveModelDirectory } from "../../src/runtime/files/model-directory.js";
import { prepareGraph } from "../../src/runtime/graph/prepare-graph.js";
import { createRunner } from "../../src/runtime/load/load-model.js";
import { DeviceLogits } from "../../src/runtime/native/device-logits.js";
import type { openLogitsMemory } from "../../src/runtime/native/logits-memory.js";
import { createNativeRunner } from "../../src/runtime/native/native-runner.js";
import { createNodeRunner } from "../../src/runtime/node/node-runner.js";
import { topOf } from "../support/fake-runner.js";
import { DECODER_CONFIG, temporaryFolders, writeFiles } from "../support/model-fixture.js";
import { buildDecoder, type DecoderSpec } from "../support/onnx-builder.js";
import { runLogits } from "../support/run-logits.js";

const folder = temporaryFolders();
const ATTENTION = "GroupQueryAttention";
const CPU = { requested: "cpu", provider: "cpu", reason: "" } as const;

const opened: ModelRunner[] = [];
afterEach(async () => {
  for (const runner of opened.splice(0)) await runner.dispose();
});

interface Wanted {
  readonly dtype?: Dtype;
  readonly maxSequences?: number;
}

async function open(kind: "native" | "node", path: string, { dtype = "fp32", maxSequences = 4 }: Wanted = {}) {
  const directory = openModelDirectory(path);
  const graph = prepareGraph(findGraphFile(directory.path, dtype, "cpu"));
  const create = kind === "native" ? createNativeRunner : createNodeRunner;
  const runner = await create({ directory, graph, device: CPU, threads: 1, maxSequences });
  opened.push(runner);
  return runner;
}

function built(spec: DecoderSpec = {}, config: object = {}): string {
  const files = { "config.json": { ...DECODER_CONFIG, ...config }, "onnx/model.onnx": buildDecoder(spec).graph };
  return writeFiles(folder(), files);
}

const tiny = resolveModelDirectory("tiny");

/** Uniform in [0, 1), always the same. */
function randoms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const ids = (count: number, vocab: number, seed = 1): Int32Array => {
  const random = randoms(seed);
  return Int32Array.from({ length: count }, () => Math.floor(random() * vocab));
};

async function feed(runner: ModelRunner, row: RunnerRow): Promise<Float32Array> {
  const [logits] = await runLogits(runner, [row]);
  assert.ok(logits);
  return logits.slice();
}

function difference(a: Float32Array, b: Float32Array): number {
  assert.equal(a.length, b.length);
  // NaN, where something was read that nobody wrote, is a difference too.
  return a.reduce(
    (most, value, i) => Math.max(most, Math.abs(value - (b[i] as number)) || (value === b[i] ? 0 : 1e9)),
    0,
  );
}

/** Ties to even. */
function nearestBfloat16(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  const [whole = 0] = bits;
  bits[0] = ((whole + 0x7fff + ((whole >>> 16) & 1)) >>> 16) << 16;
  return new Float32Array(bits.buffer)[0] as number;
}

describe("native runner", () => {
  for (const dtype of ["fp32", "fp16", "q4", "q4f16", "int8"] as const) {
    it(`gives onnxruntime-node's logits on the shipped model as ${dtype}`, async () => {
      const [native, node] = [await open("native", tiny, { dtype }), await open("node", tiny, { dtype })];
      assert.deepEqual(native.model, node.model);
      // Longer than what is allocated at first, so the cache grows on the way.
      const tokens = ids(290, native.model.vocabSize);
      const prompt = { slot: 1, tokens: tokens.subarray(0, 240), past: 0 };
      assert.equal(difference(await feed(native, prompt), await feed(node, prompt)), 0);
      for (let past = 240; past < 290; past++) {
        const step = { slot: 1, tokens: tokens.subarray(past, past + 1), past };
        assert.equal(difference(await feed(native, step), await feed(node, step)), 0, `after ${past} tokens`);
      }
    });
  }

  const variants: [string, DecoderSpec][] = [
    ["position_ids", { positionIds: true }],
    ["int32 ids", { idType: "int32", positionIds: true }],
    ["num_logits_to_keep", { logitsToKeep: "num_logits_to_keep" }],
    ["logits for the last position alone", { lastLogits: true }],
    ["layers that differ in heads", { heads: 4, kvHeads: [1, 2, 4] }],
    ["half-precision cache and logits", { type: "float16" }],
    ["half-precision cache, full logits", { type: "float16", logitsType: "float32" }],
    ["shapes left open", { symbolicShapes: true }],
  ];

  for (const [name, spec] of variants) {
    it(`runs graphs with ${name}, a prompt and batched steps`, async () => {
      const config = spec.heads === 4 ? { num_attention_heads: 4, hidden_size: 32 } : {};
      const path = built(spec, config);
      const [native, node] = [await open("native", path), await open("node", path)];
      for (const runner of [native, node]) {
        await feed(runner, { slot: 0, tokens: ids(5, 32), past: 0 });
        await feed(runner, { slot: 2, tokens: ids(9, 32, 2), past: 0 });
      }
      const steps = [
        { slot: 2, tokens: Int32Array.of(7), past: 9 },
        { slot: 0, tokens: Int32Array.of(8), past: 5 },
        { slot: 3, tokens: Int32Array.of(9), past: 0 },
      ];
      const [batch, alone] = [await runLogits(native, steps), await runLogits(node, steps)];
      assert.equal(batch.length, 3);
      const worst = Math.max(...batch.map((logits, i) => difference(logits, alone[i] as Float32Array)));
      assert.ok(worst <= 2e-3, `logits differ by ${worst}`);
    });
  }

  it("feeds a long prompt in pieces, and takes it in pieces, with the same result", async () => {
    const runner = await open("native", tiny);
    const tokens = ids(1200, runner.model.vocabSize);
    const whole = await feed(runner, { slot: 0, tokens, past: 0 });
    let pieces: Float32Array = new Float32Array(0);
    for (let past = 0; past < 1200; past += 100) {
      pieces = await feed(runner, { slot: 1, tokens: tokens.subarray(past, past + 100), past });
    }
    assert.ok(difference(whole, pieces) < 1e-4, `${difference(whole, pieces)}`);
  });

  it("goes back to an earlier length of a slot", async () => {
    const runner = await open("native", tiny);
    const tokens = ids(30, runner.model.vocabSize);
    await feed(runner, { slot: 0, tokens: tokens.subarray(0, 20), past: 0 });
    const first = await feed(runner, { slot: 0, tokens: tokens.subarray(20, 21), past: 20 });
    await feed(runner, { slot: 0, tokens: tokens.subarray(25, 30), past: 21 });
    const again = await feed(runner, { slot: 0, tokens: tokens.subarray(20, 21), past: 20 });
    assert.equal(difference(first, again), 0);
  });

  it("copies the beginning of a slot to another, which goes on by itself", async () => {
    const runner = await open("native", tiny);
    const tokens = ids(60, runner.model.vocabSize);
    await feed(runner, { slot: 0, tokens: tokens.subarray(0, 50), past: 0 });
    runner.reserve(3, 256);
    runner.copy(0, 2, 40);
    const other = ids(9, runner.model.vocabSize, 5);
    const copied = await feed(runner, { slot: 2, tokens: other, past: 40 });
    const source = await feed(runner, { slot: 0, tokens: tokens.subarray(50, 51), past: 50 });
    const fresh = await open("native", tiny);
    await feed(fresh, { slot: 0, tokens: tokens.subarray(0, 40), past: 0 });
    assert.ok(difference(copied, await feed(fresh, { slot: 0, tokens: other, past: 40 })) < 1e-5);
    await feed(fresh, { slot: 1, tokens: tokens.subarray(0, 50), past: 0 });
    assert.ok(difference(source, await feed(fresh, { slot: 1, tokens: tokens.subarray(50, 51), past: 50 })) < 1e-5);
  });

  it("keeps what slots hold when its memory grows and shrinks, with kept ones between those that run", async () => {
    const runner = await open("native", tiny, { maxSequences: 6 });
    const alone = await open("node", tiny, { maxSequences: 6 });
    const { vocabSize } = runner.model;
    for (let slot = 0; slot < 6; slot++) {
      const prompt = { slot, tokens: ids(5 + 7 * slot, vocabSize, slot), past: 0 };
      for (const each of [runner, alone]) await feed(each, prompt);
    }
    const lengths = new Map([1, 3, 5].map((slot) => [slot, 5 + 7 * slot]));
    const decode = async (): Promise<void> => {
      const rows = [...lengths].map(([slot, past]) => ({ slot, tokens: ids(1, vocabSize, past), past }));
      const [got, wanted] = [await runLogits(runner, rows), await runLogits(alone, rows)];
      const worst = Math.max(...got.map((logits, i) => difference(logits, wanted[i] as Float32Array)));
      assert.ok(worst <= 1e-5, `logits differ by ${worst}`);
      for (const [slot, past] of lengths) lengths.set(slot, past + 1);
    };
    await decode();
    for (const [rows, tokens] of [
      [6, 1024],
      [16, 64],
      [6, 50],
    ] as const) {
      runner.reserve(rows, tokens);
      await decode();
    }
    for (const slot of [0, 2]) runner.release(slot);
    runner.reserve(4, 300);
    await decode();
    // The one that was kept all the time can go on as well.
    lengths.set(4, 33);
    await decode();
  });

  it("is as it was where there is no memory for more", async () => {
    const runner = await open("native", tiny);
    const tokens = ids(30, runner.model.vocabSize);
    await feed(runner, { slot: 0, tokens: tokens.subarray(0, 20), past: 0 });
    assert.throws(() => runner.reserve(1 << 20, 1 << 20), { code: "out_of_memory" });
    const after = await feed(runner, { slot: 0, tokens: tokens.subarray(20), past: 20 });
    const fresh = await open("native", tiny);
    assert.ok(difference(after, await feed(fresh, { slot: 0, tokens, past: 0 })) < 1e-5);
  });

  for (const [name, spec] of [
    ["every position", {}],
    ["the last position alone", { lastLogits: true }],
    ["as many positions as asked for", { logitsToKeep: "num_logits_to_keep" }],
  ] as const) {
    it(`gives the logits of several last tokens on a graph that gives ${name}`, async () => {
      const path = built(spec);
      const [runner, single] = [await open("native", path), await open("native", path)];
      const { vocabSize } = runner.model;
      const tokens = ids(20, vocabSize);
      const several = await feed(runner, { slot: 0, tokens: tokens.subarray(0, 12), past: 0, logits: 5 });
      const guesses = await feed(runner, { slot: 0, tokens: tokens.subarray(12), past: 12, logits: 8 });
      const got = Float32Array.of(...several, ...guesses);
      assert.equal(got.length, 13 * vocabSize);
      await feed(single, { slot: 0, tokens: tokens.subarray(0, 7), past: 0 });
      for (let past = 7; past < 20; past++) {
        const one = await feed(single, { slot: 0, tokens: tokens.subarray(past, past + 1), past });
        const own = got.subarray((past - 7) * vocabSize, (past - 6) * vocabSize);
        assert.ok(difference(own, one) < 1e-4, `after ${past + 1} tokens they differ by ${difference(own, one)}`);
      }
    });
  }

  it("fills a context to its end", async () => {
    const path = built({ context: 64 });
    const [native, node] = [await open("native", path), await open("node", path)];
    const tokens = ids(64, 32);
    for (const runner of [native, node]) {
      await feed(runner, { slot: 0, tokens: tokens.subarray(0, 63), past: 0 });
      await feed(runner, { slot: 1, tokens: tokens.subarray(0, 10), past: 0 });
    }
    const last = { slot: 0, tokens: tokens.subarray(63), past: 63 };
    assert.ok(difference(await feed(native, last), await feed(node, last)) < 1e-5);
    // A full row between others that decode cannot be carried along.
    const others = [{ slot: 1, tokens: Int32Array.of(3), past: 10 }];
    assert.ok(
      difference(
        (await runLogits(native, others))[0] as Float32Array,
        (await runLogits(node, others))[0] as Float32Array,
      ) < 1e-5,
    );
  });

  for (const logitsType of ["float32", "float16", "bfloat16"] as const) {
    it(`chooses the likeliest of ${logitsType} logits where they are, and gives all of them when asked`, () =>
      choosesWhereTheyAre(logitsType));
  }

  it("gives logits in bfloat16 as the single precision that they are", async () => {
    const prompt = { slot: 0, tokens: ids(7, 32), past: 0 };
    const exact = await feed(await open("native", built()), prompt);
    const given = await feed(await open("native", built({ logitsType: "bfloat16" })), prompt);
    assert.deepEqual(given, exact.map(nearestBfloat16));
  });

  async function choosesWhereTheyAre(logitsType: NonNullable<DecoderSpec["logitsType"]>): Promise<void> {
    const directory = openModelDirectory(built({ logitsType }));
    const options = { directory, graph: prepareGraph(findGraphFile(directory.path, "fp32", "cpu")), device: CPU };
    // The CPU stands in for the device: the tensors are others, the graphs the same.
    const openLogits: typeof openLogitsMemory = ({ environment }, { logits, vocabSize }) =>
      DeviceLogits.open(environment, OrtMemory.cpu(environment), { type: logits.type, vocabSize });
    const onDevice = await createNativeRunner({ ...options, threads: 1, maxSequences: 4 }, { openLogits });
    opened.push(onDevice);
    const alone = await open("native", directory.path);
    for (const runner of [onDevice, alone]) {
      for (const slot of [0, 1, 2]) await feed(runner, { slot, tokens: ids(5 + slot, 32, slot), past: 0 });
    }
    for (const [past, slots] of [
      [0, [0, 1, 2]],
      [1, [0, 1, 2]],
      [2, [0, 2]],
    ] as const) {
      const rows = slots.map((slot) => ({ slot, tokens: Int32Array.of(slot), past: 5 + slot + past, top: slot !== 1 }));
      const got = await onDevice.run(rows);
      for (const [index, wanted] of (await runLogits(alone, rows)).entries()) {
        const row = got[index];
        assert.deepEqual(row?.top, rows[index]?.top ? topOf(wanted) : undefined);
        assert.deepEqual(row?.all(), wanted);
      }
    }
  }

  it("leaves the event loop free during a long run", async () => {
    const runner = await open("native", tiny);
    const order: string[] = [];
    const run = feed(runner, { slot: 0, tokens: ids(400, runner.model.vocabSize), past: 0 }).then(() =>
      order.push("run"),
    );
    setImmediate(() => order.push("event loop"));
    await run;
    assert.deepEqual(order, ["event loop", "run"]);
  });

  it("refuses a step that would corrupt a sequence, and goes on", async () => {
    const runner = await open("native", built());
    await feed(runner, { slot: 0, tokens: ids(5, 32), past: 0 });
    const wrong: [RunnerRow[], RegExp][] = [
      [[{ slot: 0, tokens: Int32Array.of(1), past: 6 }], /slot 0 holds 5 tokens, not 6/],
      [[{ slot: 1, tokens: Int32Array.of(1), past: 1 }], /slot 1 holds 0 tokens, not 1/],
      [[{ slot: 4, tokens: Int32Array.of(1), past: 0 }], /slot 4 is not one of 4/],
      [[{ slot: 0, tokens: new Int32Array(0), past: 5 }], /no tokens/],
      [[{ slot: 0, tokens: Int32Array.of(32), past: 5 }], /outside the vocabulary of 32/],
      [[{ slot: 0, tokens: ids(60, 32), past: 5 }], /would hold 65 tokens; the context is 64/],
      [[0, 0].map((slot) => ({ slot, tokens: Int32Array.of(1), past: 5 })), /a slot is in it twice/],
    ];
    for (const [rows, message] of wrong) {
      await assert.rejects(runner.run(rows), (thrown: VitrineError) => {
        assert.equal(thrown.code, "inference_failed");
        assert.match(thrown.message, message);
        return true;
      });
    }
    await feed(runner, { slot: 0, tokens: Int32Array.of(1), past: 5 });
  });

  it("takes a failed run back: the sequences can be fed again", async () => {
    const runner = await open("native", built());
    const before = [await feed(runner, { slot: 0, tokens: ids(5, 32), past: 0 })];
    await feed(runner, { slot: 1, tokens: ids(4, 32), past: 0 });
    const step = [
      { slot: 0, tokens: Int32Array.of(1), past: 5 },
      { slot: 1, tokens: Int32Array.of(1), past: 4 },
    ];
    const run = OrtBinding.prototype.run;
    const fail = (): never => {
      throw new Error("out of luck");
    };
    OrtBinding.prototype.run = fail;
    OrtBinding.prototype.runAsync = fail as never;
    try {
      await assert.rejects(runner.run(step), { code: "inference_failed", message: "out of luck" });
    } finally {
      OrtBinding.prototype.run = run;
      OrtBinding.prototype.runAsync = runAsync;
    }
    const [a] = await runLogits(runner, step);
    const other = await open("native", built());
    before.push(await feed(other, { slot: 0, tokens: ids(5, 32), past: 0 }));
    assert.ok(difference(a as Float32Array, await feed(other, { slot: 0, tokens: Int32Array.of(1), past: 5 })) < 1e-6);
    assert.equal(difference(before[0] as Float32Array, before[1] as Float32Array), 0);
  });

  it("defers a release during a run, and ends the run when it is disposed", async () => {
    const runner = await open("native", tiny);
    const tokens = ids(1500, runner.model.vocabSize);
    const run = runner.run([{ slot: 0, tokens, past: 0 }]);
    runner.release(0);
    await assert.rejects(runner.run([{ slot: 1, tokens, past: 0 }]), /another step is still running/);
    const outcome = assert.rejects(run, { code: "inference_failed" });
    await runner.dispose();
    await outcome;
    await runner.dispose();
  });

  describe("chosen at load", () => {
    /** A graph with attention of another name, which the native runtime refuses before it is loaded. */
    function foreign(): string {
      const graph = Buffer.from(buildDecoder().graph);
      for (let at = graph.indexOf(ATTENTION); at >= 0; at = graph.indexOf(ATTENTION))
        graph.write("PlainAttention+++++", at);
      return writeFiles(folder(), { "config.json": DECODER_CONFIG, "onnx/model.onnx": graph });
    }

    const load = async (modelDir: string, runtime: RuntimeRequest) => {
      const options = { modelDir, dtype: "auto", device: "cpu", threads: 1, maxSequences: 2, runtime } as const;
      const runner = await createRunner(options, CPU);
      opened.push(runner);
      return runner.device.runtime;
    };

    it("by auto where the graph fits, and on request", async () => {
      const path = built();
      assert.deepEqual(await load(path, "auto"), {
        requested: "auto",
        kind: "native",
        reason: "The graph updates its KV cache in place.",
      });
      assert.equal((await load(path, "native"))?.kind, "native");
      assert.equal((await load(path, "node"))?.kind, "node");
    });

    it("by auto only where the graph fits; on request the reason is an error", async () => {
      const path = foreign();
      const message = /The native runtime cannot run .*model\.onnx: the graph has no GroupQueryAttention/;
      await assert.rejects(load(path, "native"), { code: "model_unsupported", message });
      // The node runtime is tried, and fails as ONNX Runtime does not know the operator either.
      await assert.rejects(load(path, "auto"), { message: /PlainAttention/ });
    });
  });

  it("decodes any mix of sequences as if each ran alone", async function () {
    this.timeout(60_000);
    const slots = 6;
    const runner = await open("native", tiny, { maxSequences: slots });
    const alone = await open("node", tiny, { maxSequences: slots });
    await randomSchedule(runner, alone, slots, randoms(11));
  });
});

const { runAsync } = OrtBinding.prototype;

/** Admits, decodes in subsets, interleaves prompts in pieces, and releases, in random order; checks every row. */
async function randomSchedule(runner: ModelRunner, alone: ModelRunner, slots: number, random: () => number) {
  const below = (limit: number): number => Math.floor(random() * limit);
  const vocab = runner.model.vocabSize;
  const lengths = new Map<number, number>();
  let checked = 0;
  for (let step = 0; step < 120; step++) {
    const rows: RunnerRow[] = [];
    for (let slot = 0; slot < slots; slot++) {
      const past = lengths.get(slot);
      if (past !== undefined && random() < 0.1) {
        for (const each of [runner, alone]) each.release(slot);
        lengths.delete(slot);
      } else if (past === undefined && random() < 0.25) {
        rows.push({ slot, tokens: ids(1 + below(random() < 0.1 ? 200 : 12), vocab, below(1e9)), past: 0 });
      } else if (past !== undefined && random() < 0.7) {
        rows.push({ slot, tokens: ids(random() < 0.1 ? 5 : 1, vocab, below(1e9)), past });
      }
    }
    if (rows.length === 0) continue;
    rows.sort(() => random() - 0.5);
    const got = (await runLogits(runner, rows)).map((logits) => logits.slice());
    const wanted = await runLogits(alone, rows);
    for (const [index, { slot, past, tokens }] of rows.entries()) {
      const worst = difference(got[index] as Float32Array, wanted[index] as Float32Array);
      assert.ok(worst <= 1e-5, `step ${step}, slot ${slot}: logits differ by ${worst}`);
      lengths.set(slot, past + tokens.length);
      checked++;
    }
  }
  assert.ok(checked > 200, `only ${checked} rows`);
}

describe("a session from bytes", () => {
  it("finds external data in the folder it is given, and says so where it is not there", async () => {
    const { graph, external } = buildDecoder({ externalData: "weights.bin" });
    const externalDataFolder = writeFiles(folder(), { "weights.bin": external });
    const environment = OrtEnvironment.open();
    const session = await OrtSession.create(environment, graph, { externalDataFolder });
    assert.equal(session.inputs[0]?.name, "input_ids");
    session.dispose();
    const elsewhere = { externalDataFolder: folder() };
    await assert.rejects(OrtSession.create(environment, graph, elsewhere), {
      name: "NativeError",
      message: /weights\.bin/,
    });
  });
});
