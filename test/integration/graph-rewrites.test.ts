import assert from "node:assert/strict";
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import type { ModelRunner } from "../../src/engine/runner.js";
import type { DeviceChoice, Dtype } from "../../src/protocol.js";
import { findGraphFile } from "../../src/runtime/files/graph-file.js";
import { openModelDirectory, resolveModelDirectory } from "../../src/runtime/files/model-directory.js";
import {
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from "../../src/runtime/graph/onnx_pb.js";
import { readOnnxFile } from "../../src/runtime/graph/onnx-file.js";
import {
  type PreparedGraph,
  type PrepareOptions,
  prepareGraph,
  readGraph,
  rewriteWith,
} from "../../src/runtime/graph/prepare-graph.js";
import { quantizeHead } from "../../src/runtime/graph/quantized-head.js";
import { withFields } from "../../src/runtime/graph/rewrite.js";
import { loadModel } from "../../src/runtime/load/load-model.js";
import { createNativeRunner } from "../../src/runtime/native/native-runner.js";
import { createNativeSession } from "../../src/runtime/native/native-session.js";
import { createNodeRunner } from "../../src/runtime/node/node-runner.js";
import { DECODER_CONFIG, temporaryFolders, writeFiles } from "../support/model-fixture.js";
import { buildDecoder, type DecoderSpec, message } from "../support/onnx-builder.js";
import { runLogits } from "../support/run-logits.js";
import { type ParityGraph, parityGraphs } from "./parity-fixtures.js";

const folder = temporaryFolders();
const CPU: DeviceChoice = { requested: "cpu", provider: "cpu", reason: "" };
const RUNNERS = { node: createNodeRunner, native: createNativeRunner };
type Kind = keyof typeof RUNNERS;

/** Graphs that pass through, and why. */
const exceptions: readonly [RegExp, RegExp][] = [
  [/genai-pruned/, /logits have 1 rows/],
  [/decoder_model_merged/, /"logits" comes from If/],
];

const opened: ModelRunner[] = [];
afterEach(async () => {
  for (const runner of opened.splice(0)) await runner.dispose();
});

async function open(kind: Kind, modelDir: string, graph: PreparedGraph): Promise<ModelRunner> {
  const directory = openModelDirectory(modelDir);
  const runner = await RUNNERS[kind]({ directory, graph, device: CPU, threads: 1, maxSequences: 1 });
  opened.push(runner);
  return runner;
}

/** The logits of a prompt in two chunks and of some decode steps, one row each. */
async function rows(runner: ModelRunner): Promise<Float32Array[]> {
  const { vocabSize } = runner.model;
  const ids = Int32Array.from({ length: 40 }, (_, index) => (index * 7 + 3) % vocabSize);
  const found: Float32Array[] = [];
  let past = 0;
  for (const end of [17, 33, 34, 35, 36]) {
    const [logits] = await runLogits(runner, [{ slot: 0, tokens: ids.slice(past, end), past }]);
    assert.ok(logits);
    assert.equal(logits.length, vocabSize);
    found.push(logits.slice());
    past = end;
  }
  return found;
}

function prepared(modelDir: string, dtype: Dtype = "fp32", options: PrepareOptions = {}): PreparedGraph {
  return prepareGraph(findGraphFile(modelDir, dtype, "cpu"), options);
}

const asItIs = (graph: PreparedGraph): PreparedGraph => ({ ...graph, rewritten: undefined });

function largestDifference(a: readonly Float32Array[], b: readonly Float32Array[]): number {
  return Math.max(...a.map((row, i) => Math.max(...row.map((x, j) => Math.abs(x - (b[i]?.[j] as number))))));
}

/** Cosine of the angle between two rows. */
function cosine(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, v, i) => sum + v * (y[i] as number), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

function modelDir(graph: Uint8Array, config: object = {}, more: Record<string, Uint8Array> = {}): string {
  const files = { "config.json": { ...DECODER_CONFIG, ...config }, "onnx/model.onnx": graph, ...more };
  return writeFiles(folder(), files);
}

/** Large enough for its embeddings and head to stay in the file. */
const LARGE = { vocab: 2048 } satisfies DecoderSpec;
const LARGE_CONFIG = { vocab_size: LARGE.vocab };

for (const kind of ["node", "native"] as const) {
  describe(`rewritten graphs, ${kind} runner`, () => {
    for (const type of ["float32", "float16"] as const) {
      // Weights inside the file stand wherever they happen to: a text in front of the graph moves them.
      for (const padding of [0, 1, 2, 3]) {
        it(`compute the same from ${type} weights mapped ${padding} bytes on`, async () => {
          const { graph } = buildDecoder({ ...LARGE, type });
          const path = modelDir(Buffer.concat([message([6, "x".repeat(padding)]), graph]), LARGE_CONFIG);
          const file = prepared(path);
          assert.ok(readOnnxFile(file.path).mappedBytes > 0 && file.rewritten);
          const plain = await rows(await open(kind, path, asItIs(file)));
          assert.deepEqual(await rows(await open(kind, path, file)), plain);
        });
      }
    }

    it("find weights beside the file", async () => {
      const { graph, external } = buildDecoder({ ...LARGE, externalData: "model.onnx_data" });
      const path = modelDir(graph, LARGE_CONFIG, { "onnx/model.onnx_data": external });
      const file = prepared(path);
      const plain = await rows(await open(kind, path, asItIs(file)));
      assert.deepEqual(await rows(await open(kind, path, file)), plain);
    });

    it("are found through a link, as in the hub's cache", async () => {
      const { graph } = buildDecoder(LARGE);
      const path = writeFiles(folder(), {
        "blobs/0a1b": graph,
        "snapshot/config.json": { ...DECODER_CONFIG, ...LARGE_CONFIG },
      });
      const link = join(path, "snapshot", "onnx", "model.onnx");
      mkdirSync(dirname(link));
      symlinkSync(join("..", "..", "blobs", "0a1b"), link);
      const snapshot = join(path, "snapshot");
      const file = prepared(snapshot);
      const plain = await rows(await open(kind, snapshot, asItIs(file)));
      assert.deepEqual(await rows(await open(kind, snapshot, file)), plain);
    });

    it("are found through links with the weights beside them, which may not lead apart", async () => {
      const { graph, external } = buildDecoder({ ...LARGE, externalData: "model.onnx_data" });
      const config = { "config.json": { ...DECODER_CONFIG, ...LARGE_CONFIG } };
      const copied = modelDir(graph, LARGE_CONFIG, { "onnx/model.onnx_data": external });
      const plain = await rows(await open(kind, copied, prepared(copied)));
      for (const weights of ["blobs/2c3d", "elsewhere/2c3d"]) {
        const path = writeFiles(folder(), { ...config, "blobs/0a1b": graph, [weights]: external });
        mkdirSync(join(path, "onnx"));
        symlinkSync(join(path, "blobs", "0a1b"), join(path, "onnx", "model.onnx"));
        symlinkSync(join(path, weights), join(path, "onnx", "model.onnx_data"));
        const opening = open(kind, path, prepared(path));
        if (weights.startsWith("blobs")) assert.deepEqual(await rows(await opening), plain);
        else
          await assert.rejects(opening, { code: "model_invalid", message: /its weights are links to another folder/ });
      }
    });

    it("stay as they are where logits have one row already", async () => {
      const path = modelDir(buildDecoder({ lastLogits: true }).graph);
      const graph = prepared(path);
      assert.match(graph.notes[0] ?? "", /logits have 1 rows/);
      const plain = modelDir(buildDecoder().graph);
      assert.deepEqual(await rows(await open(kind, path, graph)), await rows(await open(kind, plain, prepared(plain))));
    });

    it("say what is wrong where weights beside the file are missing", async () => {
      const { graph } = buildDecoder({ ...LARGE, externalData: "model.onnx_data" });
      const path = modelDir(graph, LARGE_CONFIG);
      await assert.rejects(open(kind, path, prepared(path)), {
        code: "model_invalid",
        message: /model\.onnx: the weights beside it are missing or shorter/,
      });
    });
  });
}

describe("graphs of real exporters", () => {
  for (const { name, path } of parityGraphs()) {
    it(`have the head cut: ${name}`, () => {
      const { notes } = prepareGraph({ path, dtype: "fp32", weightBytes: 0 });
      const expected = exceptions.find(([graph]) => graph.test(name))?.[1] ?? /logits for the last positions only/;
      assert.match(notes[0] ?? "", expected);
    });
  }
});

describe("graphs in bfloat16, rewritten for the native runner", () => {
  for (const { name, path } of parityGraphs().filter(({ reference }) => /widened/.test(reference))) {
    // The CPU has no kernels for it, but looks for them only once every operator's types are right.
    it(`keep types that ONNX Runtime takes: ${name}`, async () => {
      const attention = { contextLength: 128, heads: 4 };
      const graph = prepareGraph({ path, dtype: "bf16", weightBytes: 0 }, { attention, lengths: true });
      assert.ok(graph.notes.some((note) => /Attention lengths: fed/.test(note)));
      await assert.rejects(createNativeSession(graph, CPU, 1), {
        code: "model_unsupported",
        message: /Could not find an implementation for (MatMul|MatMulNBits)\(/,
      });
    });
  }
});

describe("the shipped model, rewritten", () => {
  const tiny = resolveModelDirectory("tiny");

  for (const kind of ["node", "native"] as const) {
    for (const dtype of ["fp32", "fp16", "int8", "q4", "q4f16"] as const) {
      it(`gives the same logits in ${dtype} with the ${kind} runner`, async () => {
        const graph = prepared(tiny, dtype, { fastInt4: false });
        assert.ok(graph.rewritten);
        const plain = await rows(await open(kind, tiny, asItIs(graph)));
        const rewritten = await rows(await open(kind, tiny, graph));
        // 4-bit kernels round a little differently by the number of rows.
        const allowed = dtype === "q4" || dtype === "q4f16" ? 1e-3 : 1e-6;
        assert.ok(largestDifference(rewritten, plain) <= allowed, `${largestDifference(rewritten, plain)}`);
      });
    }
  }

  it("is hardly different with int8 activations", async () => {
    const kept = prepared(tiny, "q4", { fastInt4: false });
    const path = modelDir(withoutAccuracyLevels(kept), {}, {});
    const unset = { ...kept, ...prepared(path, "fp32", { fastInt4: false }) };
    const set = prepared(path, "fp32");
    assert.match(set.notes[1] ?? "", /4 \(int8 activations\) on \d+ of \d+/);
    const plain = await rows(await open("native", tiny, unset));
    const fast = await rows(await open("native", tiny, set));
    assert.ok(largestDifference(fast, plain) > 0, "the level changes nothing");
    for (const [index, row] of fast.entries()) assert.ok(cosine(row, plain[index] as Float32Array) > 0.99);
  });
});

describe("a 4-bit model with an fp32 head", () => {
  for (const kind of ["node", "native"] as const) {
    for (const tied of [false, true]) {
      it(`is hardly different with an 8-bit one, ${tied ? "turned from an embedding, " : ""}${kind} runner`, async () => {
        const { directory, file, model } = withFloatHead(tied);
        const quantized = quantizeHead(model);
        assert.match(quantized.note, /made 8-bit/);
        const plain = await rows(await open(kind, directory, withModel(file, model)));
        const fast = await rows(await open(kind, directory, withModel(file, quantized.model)));
        assert.ok(largestDifference(fast, plain) > 0, "the weights are the same");
        for (const [index, row] of fast.entries()) assert.ok(cosine(row, plain[index] as Float32Array) > 0.9999);
      });
    }
  }
});

/** The 4-bit Llama among the fixtures, with the output head of the fp32 one. */
function withFloatHead(tied: boolean): { directory: string; file: PreparedGraph; model: ModelProto } {
  const fixture = (name: string) => parityGraphs().find((graph) => graph.name === name) as ParityGraph;
  const { path, directory } = fixture("llama/genai/model_q4.onnx");
  const { model } = readOnnxFile(path);
  const graph = model.graph as GraphProto;
  const float = readOnnxFile(fixture("llama/genai/model.onnx").path);
  const product = float.model.graph?.node.find(({ output }) => output[0] === "logits") as NodeProto;
  const weights = float.model.graph?.initializer.find(({ name }) => name === product.input[1]) as TensorProto;
  const turn = create(NodeProtoSchema, { opType: "Transpose", input: [weights.name], output: ["turned"] });
  const head = tied ? [turn, withFields(product, { input: [product.input[0] ?? "", "turned"] })] : [product];
  graph.node = [...graph.node.filter(({ output }) => output[0] !== "logits"), ...head];
  graph.initializer.push(tied ? transposed(weights, float.folder) : weights);
  return { directory, file: rewriteWith(readGraph({ path, dtype: "q4", weightBytes: 0 }), []), model };
}

const withModel = (file: PreparedGraph, model: ModelProto): PreparedGraph => {
  return { ...file, rewritten: { bytes: toBinary(ModelProtoSchema, model), folder: dirname(file.path) } };
};

/** Weights beside the graph, turned, as weights inside it. */
function transposed({ name, dataType, dims, externalData }: TensorProto, folder: string): TensorProto {
  const [rows, columns] = dims.map(Number) as [number, number];
  const at = (key: string) => externalData.find((entry) => entry.key === key)?.value ?? "0";
  const start = Number(at("offset"));
  const bytes = readFileSync(join(folder, at("location"))).subarray(start, start + rows * columns * 4);
  const from = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const to = from.map((_, index) => from[(index % rows) * columns + Math.floor(index / rows)] as number);
  return create(TensorProtoSchema, { name, dataType, dims: dims.toReversed(), rawData: new Uint8Array(to.buffer) });
}

function withoutAccuracyLevels({ path }: PreparedGraph): Uint8Array {
  const { model } = readOnnxFile(path, Number.POSITIVE_INFINITY);
  for (const node of model.graph?.node ?? []) {
    node.attribute = node.attribute.filter(({ name }) => name !== "accuracy_level");
  }
  return toBinary(ModelProtoSchema, model);
}

describe("loadModel", () => {
  const load = (modelDir: string, more: object = {}) => {
    const options = { modelDir, dtype: "auto", device: "cpu", threads: 1, maxSequences: 1, ...more } as const;
    return loadModel(
      options,
      () => 0,
      () => {},
    );
  };

  it("tells what it did to the graph", async () => {
    const { runner } = await load(modelDir(buildDecoder().graph));
    opened.push(runner);
    assert.match(runner.model.rewrites?.join("\n") ?? "", /^Output head: .*\nAccuracy level/);
  });

  it("fuses plain attention for the native runtime, and leaves it to the node runner as it is", async () => {
    const plain = parityGraphs().find(({ name }) => name === "llama/optimum/model.onnx");
    assert.ok(plain);
    for (const [runtime, kind, first] of [
      ["auto", "native", /^Attention: 2 layers made GroupQueryAttention/],
      ["node", "node", /^Output head/],
    ] as const) {
      const { runner } = await load(plain.directory, { runtime, dtype: "fp32" });
      opened.push(runner);
      assert.equal(runner.device.runtime?.kind, kind);
      assert.match(runner.model.rewrites?.[0] ?? "", first);
    }
  });

  for (const runtime of ["node", "native"] as const) {
    it(`refuses garbage before the ${runtime} runtime sees it`, async () => {
      const garbage = modelDir(new Uint8Array(5000).map((_, index) => (index * 31) % 256));
      await assert.rejects(load(garbage, { runtime }), { code: "model_invalid" });
    });
  }
});
