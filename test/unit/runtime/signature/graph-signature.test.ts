import assert from "node:assert/strict";
import { FIRST_LOGITS } from "../../../../src/runtime/graph/first-logits.js";
import { type GraphValue, readGraphSignature } from "../../../../src/runtime/signature/graph-signature.js";

const ids = (name: string, type = "int64"): GraphValue => ({ name, type, shape: ["batch", "sequence"] });
const kv = (name: string, shape: GraphValue["shape"] = ["batch", 2, "past", 64], type = "float32"): GraphValue => ({
  name,
  type,
  shape,
});
const past = (layer: number, shape?: GraphValue["shape"], type?: string) =>
  ["key", "value"].map((kind) => kv(`past_key_values.${layer}.${kind}`, shape, type));
const present = (layer: number, type?: string) =>
  ["key", "value"].map((kind) => kv(`present.${layer}.${kind}`, undefined, type));
const logits = (type = "float32", vocab: number | string = 100): GraphValue => ({
  name: "logits",
  type,
  shape: ["batch", "sequence", vocab],
});
const config = { vocabSize: undefined, kvHeads: undefined, headDim: undefined };
const base = { inputs: [ids("input_ids"), ...past(0)], outputs: [logits(), ...present(0)] };

describe("readGraphSignature", () => {
  it("reads a decoder with mask and positions", () => {
    const signature = readGraphSignature(
      [ids("input_ids"), ids("attention_mask"), ids("position_ids"), ...past(0), ...past(1)],
      [logits(), ...present(0), ...present(1)],
      config,
    );
    assert.deepEqual(signature.attentionMask, { name: "attention_mask", type: "int64" });
    assert.deepEqual(signature.positionIds, { name: "position_ids", type: "int64" });
    assert.equal(signature.logitsToKeep, undefined);
    assert.equal(signature.layers, 2);
    assert.equal(signature.vocabSize, 100);
    assert.equal(signature.cacheType, "float32");
    assert.deepEqual(
      signature.cache.map((entry) => entry.present),
      ["present.0.key", "present.0.value", "present.1.key", "present.1.value"],
    );
  });

  it("does without mask and positions, and takes int32 ids", () => {
    const signature = readGraphSignature([ids("input_ids", "int32"), ...past(0)], base.outputs, config);
    assert.deepEqual(signature.inputIds, { name: "input_ids", type: "int32" });
    assert.equal(signature.attentionMask, undefined);
    assert.equal(signature.positionIds, undefined);
  });

  it("keeps float16 cache and float32 logits apart", () => {
    const signature = readGraphSignature(
      [ids("input_ids"), ...past(0, undefined, "float16")],
      [logits("float32"), ...present(0, "float16")],
      config,
    );
    assert.deepEqual([signature.cacheType, signature.logits.type], ["float16", "float32"]);
  });

  it("knows bfloat16, with logits in single precision as onnxruntime-genai's builder makes them", () => {
    const signature = readGraphSignature(
      [ids("input_ids"), ...past(0, undefined, "bfloat16")],
      [logits("float32"), ...present(0, "bfloat16")],
      config,
    );
    assert.deepEqual([signature.cacheType, signature.logits.type], ["bfloat16", "float32"]);
  });

  it("lets layers, and keys and values, differ", () => {
    const signature = readGraphSignature(
      [
        ids("input_ids"),
        ...past(0, ["batch", 1, "past", 64]),
        kv("past_key_values.1.key", ["batch", 4, "past", 192]),
        kv("past_key_values.1.value", ["batch", 4, "past", 128]),
      ],
      [logits(), ...present(0), ...present(1)],
      config,
    );
    assert.deepEqual(
      signature.cache.map(({ heads, headDim }) => [heads, headDim]),
      [
        [1, 64],
        [1, 64],
        [4, 192],
        [4, 128],
      ],
    );
  });

  it("fills open dimensions from config.json, and says when it cannot", () => {
    const open = [ids("input_ids"), ...past(0, ["batch", "heads", "past", "dim"])];
    const outputs = [logits("float32", "vocab"), ...present(0)];
    const signature = readGraphSignature(open, outputs, { vocabSize: 50, kvHeads: 3, headDim: 16 });
    assert.deepEqual([signature.vocabSize, signature.cache[0]?.heads, signature.cache[0]?.headDim], [50, 3, 16]);
    assert.throws(() => readGraphSignature(open, outputs, config), {
      code: "model_unsupported",
      message: /neither the graph nor config\.json gives the size of "past_key_values\.0\.key"/,
    });
  });

  for (const name of ["num_logits_to_keep", "logits_to_keep"]) {
    it(`knows ${name}`, () => {
      const signature = readGraphSignature([...base.inputs, { name, type: "int64", shape: [] }], base.outputs, config);
      assert.deepEqual(signature.logitsToKeep, { name, type: "int64", rank: 0, sign: 1 });
    });
  }

  it("knows the input that the rewritten head begins at", () => {
    const first: GraphValue = { name: FIRST_LOGITS, type: "int64", shape: [1] };
    const signature = readGraphSignature([...base.inputs, first], base.outputs, config);
    assert.deepEqual(signature.logitsToKeep, { name: FIRST_LOGITS, type: "int64", rank: 1, sign: -1 });
  });

  it("knows the branch of merged decoders", () => {
    const branch: GraphValue = { name: "use_cache_branch", type: "bool", shape: [1] };
    const signature = readGraphSignature([...base.inputs, branch], base.outputs, config);
    assert.deepEqual(signature.useCacheBranch, { name: "use_cache_branch" });
    assert.equal(readGraphSignature(base.inputs, base.outputs, config).useCacheBranch, undefined);
  });

  it("knows the cache of Bloom, GPT-BigCode and ONNX Runtime's GPT-2", () => {
    const read = (inputs: GraphValue[], outputs: GraphValue[]) =>
      readGraphSignature([ids("input_ids"), ...inputs], [logits(), ...outputs], { ...config, kvHeads: 4 });
    const bloom = read(
      [
        kv("past_key_values.0.key", ["batch_size x num_heads", 64, "past_sequence_length"]),
        kv("past_key_values.0.value", ["batch_size x num_heads", "past_sequence_length", 64]),
      ],
      present(0),
    );
    assert.deepEqual(
      bloom.cache.map(({ empty, heads, headDim }) => [empty, heads * headDim]),
      [
        [[4, 64, 0], 256],
        [[4, 0, 64], 256],
      ],
    );
    const bigCode = read(
      [0, 1].map((layer) => kv(`past_key_values.${layer}.key_value`, ["batch_size", "past_sequence_length", 128])),
      [0, 1].map((layer) => kv(`present.${layer}.key_value`)),
    );
    assert.deepEqual([bigCode.layers, bigCode.cache[0]?.empty], [2, [1, 0, 128]]);
    assert.equal(bigCode.cache[1]?.present, "present.1.key_value");
    const gpt2 = read([kv("past_0", [2, "batch_size", 12, "past_seq_len", 64])], [kv("present_0")]);
    assert.deepEqual(
      [gpt2.layers, gpt2.cache[0]?.present, gpt2.cache[0]?.empty, gpt2.cache[0]?.headDim],
      [1, "present_0", [2, 1, 12, 0, 64], 1536],
    );
  });

  const refusals: [string, readonly GraphValue[], readonly GraphValue[], RegExp][] = [
    ["no input_ids", [ids("tokens")], base.outputs, /no input "input_ids" \(it has tokens\)/],
    ["images", [ids("pixel_values")], base.outputs, /images or audio/],
    [
      "embeddings for ids",
      [ids("inputs_embeds", "float32"), ...past(0)],
      base.outputs,
      /decoder of a multimodal model/,
    ],
    ["a recurrent state", [...base.inputs, kv("past_conv.0")], base.outputs, /recurrent state/],
    ["no cache, as an encoder", [ids("input_ids")], [logits()], /no past_key_values\.N\.key/],
    [
      "unknown inputs",
      [...base.inputs, ids("cache_position"), ids("cache_indirection")],
      base.outputs,
      /does not know: cache_position, cache_indirection/,
    ],
    ["encoder states", [...base.inputs, kv("encoder_hidden_states")], base.outputs, /encoder_hidden_states/],
    [
      "a key without its value",
      [ids("input_ids"), kv("past_key_values.0.key")],
      base.outputs,
      /and no "past_key_values\.0\.value"/,
    ],
    ["no present", base.inputs, [logits()], /no output "present\.0\.key"/],
    ["no logits", base.inputs, present(0), /no output "logits" \(it has present\.0\.key/],
    [
      "flat logits",
      base.inputs,
      [{ name: "logits", type: "float32", shape: ["batch", 10] }, ...present(0)],
      /"logits" has 2 dim/,
    ],
    ["a branch that is no bool", [...base.inputs, ids("use_cache_branch")], base.outputs, /is int64, not bool/],
    [
      "a cache of two open dimensions",
      [ids("input_ids"), ...past(0, ["batch", "positions", "width"])],
      base.outputs,
      /has the shape \[batch, positions, width\]/,
    ],
    [
      "a static cache",
      [ids("input_ids"), ...past(0, ["batch", 2, 512, 64])],
      base.outputs,
      /has the shape \[batch, 2, 512, 64\]/,
    ],
    [
      "a static prompt",
      [{ name: "input_ids", type: "int64", shape: [1, 128] }, ...past(0)],
      base.outputs,
      /fixed length of 128/,
    ],
    [
      "positions in three dimensions",
      [...base.inputs, { name: "position_ids", type: "int64", shape: [3, "b", "s"] }],
      base.outputs,
      /"position_ids" has 3 dim/,
    ],
    ["float ids", [ids("input_ids", "float32"), ...past(0)], base.outputs, /is float32, not int64 or int32/],
    [
      "an int8 cache",
      [ids("input_ids"), ...past(0, undefined, "int8")],
      base.outputs,
      /is int8, not float32, float16 or bfloat16/,
    ],
    [
      "a mixed cache",
      [ids("input_ids"), ...past(0), ...past(1, undefined, "float16")],
      [logits(), ...present(0), ...present(1, "float16")],
      /mixes float32 and float16/,
    ],
    ["a present of another type", base.inputs, [logits(), ...present(0, "float16")], /is float16, its input float32/],
  ];
  for (const [name, inputs, outputs, message] of refusals) {
    it(`refuses ${name}`, () => {
      assert.throws(() => readGraphSignature(inputs, outputs, config), { code: "model_unsupported", message });
    });
  }
});
