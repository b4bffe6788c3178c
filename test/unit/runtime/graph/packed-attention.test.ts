import assert from "node:assert/strict";
import { toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, type NodeProto } from "../../../../src/runtime/graph/onnx_pb.js";
import { packAttention } from "../../../../src/runtime/graph/packed-attention.js";
import { model, node, value, weights } from "../../../support/onnx-graph.js";

type Name = "q" | "k" | "v";
const OUTPUTS = { q: 64, k: 32, v: 32 };

interface Variation {
  readonly bias?: readonly Name[];
  readonly zeroPoints?: readonly Name[];
  readonly attributes?: Partial<Record<Name, Record<string, number>>>;
  readonly inputs?: Partial<Record<Name, string>>;
  readonly reordered?: boolean;
  readonly outputs?: string[];
}

/** One attention over three 4-bit products. */
function attention(variation: Variation = {}) {
  const nodes: NodeProto[] = [];
  const tensors = [];
  const made: string[] = [];
  for (const name of ["q", "k", "v"] as const) {
    const input = [variation.inputs?.[name] ?? "x", `${name}_weight`, `${name}_scales`];
    tensors.push(weights(`${name}_weight`, OUTPUTS[name], 2, 16), weights(`${name}_scales`, OUTPUTS[name] * 2));
    if (variation.zeroPoints?.includes(name)) {
      input.push(`${name}_zero`);
      tensors.push(weights(`${name}_zero`, OUTPUTS[name]));
    }
    if (variation.reordered) input.push(...(input.length === 3 ? [""] : []), "order");
    const attributes = { K: 64, N: OUTPUTS[name], bits: 4, block_size: 32, ...variation.attributes?.[name] };
    nodes.push(node("com.microsoft.MatMulNBits", input, [`${name}_product`], attributes));
    made.push(variation.bias?.includes(name) ? `${name}_biased` : `${name}_product`);
    if (!variation.bias?.includes(name)) continue;
    tensors.push(weights(`${name}_bias`, OUTPUTS[name]));
    nodes.push(node("Add", [`${name}_product`, `${name}_bias`], [`${name}_biased`]));
  }
  const inputs = [...made, "past_key", "past_value", "lengths", "total"];
  nodes.push(
    node("com.microsoft.GroupQueryAttention", inputs, ["y", "key", "value"], { num_heads: 2, kv_num_heads: 1 }),
  );
  const output = ["y", ...(variation.outputs ?? [])].map((name) => value(name));
  return model({ node: nodes, initializer: [weights("order", 64), ...tensors], output });
}

const summary = ({ opType, input, output }: NodeProto) => `${opType}(${input.join(", ")}) ${output.join(", ")}`;
const P = "vitrine/packed_attention/0/";

describe("packAttention", () => {
  it("makes one product of three, with one addition of their biases", () => {
    const names = ["q", "k", "v"] as const;
    const before = attention({ bias: names });
    const bytes = toBinary(ModelProtoSchema, before);
    const { model: result, applied, note } = packAttention(before);
    assert.deepEqual(result.graph?.node.map(summary), [
      `Concat(q_weight, k_weight, v_weight) ${P}weight`,
      `Concat(q_scales, k_scales, v_scales) ${P}scales`,
      `MatMulNBits(x, ${P}weight, ${P}scales) ${P}product`,
      `Concat(q_bias, k_bias, v_bias) ${P}bias`,
      `Add(${P}product, ${P}bias) ${P}packed`,
      `GroupQueryAttention(${P}packed, , , past_key, past_value, lengths, total) y, key, value`,
    ]);
    const attributes = result.graph?.node[2]?.attribute.map(({ name, i }) => [name, Number(i)]);
    assert.deepEqual(Object.fromEntries(attributes ?? []), { K: 64, N: 128, bits: 4, block_size: 32 });
    assert.equal(applied, true);
    assert.match(note, /1 times/);
    assert.deepEqual(toBinary(ModelProtoSchema, before), bytes);
  });

  it("takes zero points along, and needs no bias", () => {
    const { model: result } = packAttention(attention({ zeroPoints: ["q", "k", "v"] }));
    assert.deepEqual(result.graph?.node.map(summary).slice(2), [
      `Concat(q_zero, k_zero, v_zero) ${P}zero_points`,
      `MatMulNBits(x, ${P}weight, ${P}scales, ${P}zero_points) ${P}product`,
      `GroupQueryAttention(${P}product, , , past_key, past_value, lengths, total) y, key, value`,
    ]);
  });

  const different: readonly (readonly [string, Variation])[] = [
    ["of another value", { inputs: { v: "z" } }],
    ["of another block size", { attributes: { k: { block_size: 64 } } }],
    ["of another accuracy level", { attributes: { q: { accuracy_level: 4 } } }],
    ["with a bias on some only", { bias: ["q"] }],
    ["with zero points on some only", { zeroPoints: ["q"] }],
    ["with reordered inputs", { reordered: true }],
    ["that something else reads", { outputs: ["k_product"] }],
    ["whose biased value something else reads", { bias: ["q", "k", "v"], outputs: ["v_product"] }],
    ["whose weights are fed", { inputs: {}, outputs: [] }],
  ];
  for (const [name, variation] of different) {
    it(`leaves products ${name} as they are`, () => {
      const before = attention(variation);
      if (name === "whose weights are fed") before.graph?.input.push(value("q_weight"));
      const { model: result, applied } = packAttention(before);
      assert.equal(result, before);
      assert.equal(applied, false);
    });
  }
});
