import assert from "node:assert/strict";
import { join } from "node:path";
import type { Dtype } from "../../../../src/protocol.js";
import { findGraphFile } from "../../../../src/runtime/files/graph-file.js";
import { temporaryFolders, writeFiles } from "../../../support/model-fixture.js";

describe("findGraphFile", () => {
  const folder = temporaryFolders();
  const withFiles = (...names: string[]) =>
    writeFiles(folder(), Object.fromEntries(names.map((name) => [name, "graph"])));

  const names: [Dtype, string][] = [
    ["fp32", "model.onnx"],
    ["fp16", "model_fp16.onnx"],
    ["bf16", "model_bf16.onnx"],
    ["q4", "model_q4.onnx"],
    ["q4f16", "model_q4f16.onnx"],
    ["int8", "model_int8.onnx"],
    ["uint8", "model_uint8.onnx"],
    ["bnb4", "model_bnb4.onnx"],
  ];
  const all = withFiles(...names.map(([, name]) => `onnx/${name}`), "onnx/model_quantized.onnx");
  for (const [dtype, name] of names) {
    it(`takes ${name} for ${dtype}`, () => {
      const graph = findGraphFile(all, dtype, "cpu");
      assert.deepEqual(graph, { path: join(all, "onnx", name), dtype, weightBytes: 5 });
    });
  }

  it("takes model_quantized.onnx for int8 where there is no model_int8.onnx", () => {
    const directory = withFiles("onnx/model_quantized.onnx");
    assert.equal(findGraphFile(directory, "int8", "cpu").path, join(directory, "onnx", "model_quantized.onnx"));
  });

  it("looks at the top of the directory after onnx/", () => {
    const top = withFiles("model.onnx");
    assert.equal(findGraphFile(top, "fp32", "cpu").path, join(top, "model.onnx"));
    const both = withFiles("model.onnx", "onnx/model.onnx");
    assert.equal(findGraphFile(both, "fp32", "cpu").path, join(both, "onnx", "model.onnx"));
  });

  const orders = {
    cpu: ["q4", "fp32", "int8", "uint8", "q4f16", "fp16", "bnb4", "bf16"],
    cuda: ["q4f16", "fp16", "bf16", "q4", "fp32", "bnb4", "int8", "uint8"],
  } as const;
  for (const provider of ["cpu", "cuda"] as const) {
    it(`chooses in the documented order on ${provider}`, () => {
      const fileOf = new Map(names);
      const order = orders[provider];
      order.forEach((best, index) => {
        const left = order.slice(index).map((dtype) => `onnx/${fileOf.get(dtype)}`);
        assert.equal(findGraphFile(withFiles(...left), "auto", provider).dtype, best);
      });
    });
  }

  it("counts external data in several files, and no other file", () => {
    const directory = writeFiles(folder(), {
      "onnx/model.onnx": "1",
      "onnx/model.onnx_data": "22",
      "onnx/model.onnx_data_1": "333",
      "onnx/model_q4.onnx": "4444",
      "onnx/model_q4.onnx_data": "55555",
    });
    assert.equal(findGraphFile(directory, "fp32", "cpu").weightBytes, 6);
    assert.equal(findGraphFile(directory, "q4", "cpu").weightBytes, 9);
  });

  it("lists what there is when a dtype is missing", () => {
    assert.throws(() => findGraphFile(withFiles("onnx/model.onnx", "onnx/model_q4.onnx"), "fp16", "cpu"), {
      code: "model_missing",
      message: /has no model_fp16\.onnx\. It has: fp32, q4\./,
    });
    assert.throws(() => findGraphFile(folder(), "auto", "cpu"), { code: "model_missing", message: /no model\*\.onnx/ });
  });

  it("takes the merged decoders of older repositories, after today's names", () => {
    const old = withFiles("onnx/decoder_model_merged.onnx", "onnx/decoder_model_merged_quantized.onnx");
    const path = (name: string) => join(old, "onnx", name);
    assert.equal(findGraphFile(old, "auto", "cpu").path, path("decoder_model_merged.onnx"));
    assert.equal(findGraphFile(old, "int8", "cpu").path, path("decoder_model_merged_quantized.onnx"));
    const both = withFiles("onnx/decoder_model_merged.onnx", "model.onnx");
    assert.equal(findGraphFile(both, "fp32", "cpu").path, join(both, "model.onnx"));
  });

  it("says what to do where there is no graph, or one of another name", () => {
    assert.throws(() => findGraphFile(withFiles("config.json"), "auto", "cpu"), {
      message: /has no model\*\.onnx\. Download one into its folder onnx\//,
    });
    assert.throws(() => findGraphFile(withFiles("onnx/little.onnx"), "auto", "cpu"), {
      message: /Its graphs have other names \(little\.onnx\): rename one to onnx\/model\.onnx\./,
    });
  });

  it("names the layout of two graphs, and does not for a type that is missing", () => {
    const split = ["onnx/decoder_model.onnx", "onnx/decoder_with_past_model.onnx"];
    assert.throws(() => findGraphFile(withFiles(...split), "auto", "cpu"), {
      code: "model_unsupported",
      message: /prompt and past in two graphs \(decoder_model\.onnx\)/,
    });
    assert.throws(() => findGraphFile(withFiles(...split, "onnx/decoder_model_merged.onnx"), "q4", "cpu"), {
      code: "model_missing",
      message: /has no model_q4\.onnx\. It has: fp32\./,
    });
  });

  const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
  for (const broken of ["onnx/model.onnx", "onnx/model.onnx_data"]) {
    it(`refuses ${broken} when it is empty or a Git LFS pointer`, () => {
      const files = { "onnx/model.onnx": "graph", "onnx/model.onnx_data": "data" };
      const empty = writeFiles(folder(), { ...files, [broken]: "" });
      assert.throws(() => findGraphFile(empty, "fp32", "cpu"), { code: "model_invalid", message: /is empty/ });
      const pointed = writeFiles(folder(), { ...files, [broken]: pointer });
      assert.throws(() => findGraphFile(pointed, "fp32", "cpu"), { code: "model_invalid", message: /git lfs pull/ });
    });
  }
});
