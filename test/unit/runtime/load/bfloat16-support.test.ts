import assert from "node:assert/strict";
import type { Dtype } from "../../../../src/protocol.js";
import { describeModel } from "../../../../src/runtime/describe-model.js";
import { findGraphFile } from "../../../../src/runtime/files/graph-file.js";
import { openModelDirectory } from "../../../../src/runtime/files/model-directory.js";
import { prepareGraph, readGraph } from "../../../../src/runtime/graph/prepare-graph.js";
import { refuseBfloat16 } from "../../../../src/runtime/load/bfloat16-support.js";
import { createRunner } from "../../../../src/runtime/load/load-model.js";
import { readGraphSignature } from "../../../../src/runtime/signature/graph-signature.js";
import { DECODER_CONFIG, temporaryFolders, writeFiles } from "../../../support/model-fixture.js";
import { buildDecoder } from "../../../support/onnx-builder.js";

const CPU = { requested: "cpu", provider: "cpu", reason: "The CPU was asked for." } as const;
const CUDA = { requested: "cuda", provider: "cuda", reason: "CUDA device 0 was asked for." } as const;

describe("bfloat16 models", () => {
  const folder = temporaryFolders();
  const { graph: bfloat16 } = buildDecoder({ type: "bfloat16", logitsType: "float32" });
  const { graph: float16 } = buildDecoder({ type: "float16" });
  const withFiles = (files: Readonly<Record<string, Uint8Array>>) =>
    writeFiles(folder(), { "config.json": DECODER_CONFIG, ...files });
  const load = (modelDir: string, device: typeof CPU | typeof CUDA, more: { dtype?: Dtype; runtime?: "node" } = {}) =>
    createRunner({ modelDir, dtype: "auto", device: device.requested, threads: 1, maxSequences: 1, ...more }, device);

  it("are refused on the CPU before they are loaded, with what else the directory has", async () => {
    const directory = withFiles({ "onnx/model_bf16.onnx": bfloat16, "onnx/model_fp16.onnx": float16 });
    await assert.rejects(load(directory, CPU, { dtype: "bf16" }), {
      code: "model_unsupported",
      message:
        /model_bf16\.onnx computes in bfloat16: it needs CUDA and the native runtime\. The CPU was asked for\. .+: --dtype fp16\.$/,
    });
  });

  it("are refused by onnxruntime-node's binding on CUDA, too", async () => {
    const directory = withFiles({ "onnx/model_bf16.onnx": bfloat16 });
    await assert.rejects(load(directory, CUDA, { runtime: "node" }), {
      code: "model_unsupported",
      message: /needs the native runtime.+ was asked for\. The directory has no other file: export the model in fp16/,
    });
  });

  it("are known by what is in the file, not by its name", async () => {
    const directory = withFiles({ "model.onnx": bfloat16, "model_q4.onnx": bfloat16, "model_fp16.onnx": float16 });
    const read = readGraph(findGraphFile(directory, "fp32", "cpu"));
    assert.deepEqual([read.bfloat16, read.file.dtype], [true, "bf16"]);
    assert.equal(readGraph(findGraphFile(directory, "q4", "cpu")).file.dtype, "q4");
    await assert.rejects(load(directory, CPU), { message: /model_q4\.onnx computes in bfloat16.+: --dtype fp16\.$/ });
  });

  it("name no file that cannot be read", () => {
    const directory = withFiles({ "model_bf16.onnx": bfloat16, "model_fp16.onnx": Buffer.from("no graph") });
    const file = findGraphFile(directory, "bf16", "cpu");
    assert.throws(() => refuseBfloat16(file, directory, CPU, undefined), {
      message: /The directory has no other file/,
    });
  });

  it("are refused on CUDA with what is wrong with the native runtime there", () => {
    const directory = withFiles({ "model_bf16.onnx": bfloat16, "model_fp16.onnx": float16 });
    const file = findGraphFile(directory, "bf16", "cuda");
    assert.throws(() => refuseBfloat16(file, directory, CUDA, "It gave wrong answers."), {
      message: /binding has no bfloat16\. It gave wrong answers\. .+: --dtype fp16\.$/,
    });
  });

  it("are let through on CUDA to the native runtime", () => {
    const directory = withFiles({ "model_bf16.onnx": bfloat16 });
    const file = findGraphFile(directory, "bf16", "cuda");
    assert.doesNotThrow(() => refuseBfloat16(file, directory, CUDA, undefined));
  });

  it("give way to any other file of a directory on the CPU", async () => {
    const directory = withFiles({ "model_bf16.onnx": bfloat16, "model.onnx": buildDecoder().graph });
    const runner = await load(directory, CPU);
    assert.equal(runner.model.dtype, "fp32");
    await runner.dispose();
  });

  it("have a KV cache of two bytes a number", () => {
    const directory = openModelDirectory(withFiles({ "model_bf16.onnx": bfloat16 }));
    const graph = prepareGraph(findGraphFile(directory.path, "bf16", "cuda"));
    const cache = (name: string) => ({ name, type: "bfloat16", shape: ["batch", 1, "past", 8] });
    const signature = readGraphSignature(
      [
        { name: "input_ids", type: "int64", shape: ["batch", "new"] },
        ...["key", "value"].map((kind) => cache(`past_key_values.0.${kind}`)),
      ],
      [
        { name: "logits", type: "bfloat16", shape: ["batch", "new", 32] },
        ...["key", "value"].map((kind) => cache(`present.0.${kind}`)),
      ],
      directory.config,
    );
    assert.equal(describeModel(directory, graph, signature).kvBytesPerToken, 2 * 8 * 2);
  });
});
