import assert from "node:assert/strict";
import { toBinary } from "@bufbuild/protobuf";
import { type ModelProto, ModelProtoSchema, type NodeProto } from "../../../../src/runtime/graph/onnx_pb.js";
import { quantizeHead } from "../../../../src/runtime/graph/quantized-head.js";
import { model, node, value, weights } from "../../../support/onnx-graph.js";

const P = "vitrine/quantized_head/";
const SHAPE = ["batch", "sequence", 96];
const FOUR_BITS = node("com.microsoft.MatMulNBits", ["x", "b", "scales"], ["hidden"], { K: 64, N: 64, bits: 4 });
const PLAIN = [node("MatMul", ["hidden", "w"], ["logits"])];
const TIED = [node("Transpose", ["w"], ["wt"]), node("MatMul", ["hidden", "wt"], ["logits"])];

interface Variation {
  readonly head: NodeProto[];
  readonly dims: number[];
  readonly before?: NodeProto;
  readonly opset?: number;
  readonly fed?: boolean;
}

function decoder({ head, dims, before = FOUR_BITS, opset, fed }: Variation): ModelProto {
  const input = [value("x"), ...(fed ? [value("w")] : [])];
  const graph = {
    node: [before, ...head],
    initializer: [weights("w", ...dims)],
    input,
    output: [value("logits", SHAPE)],
  };
  return model(graph, opset);
}

const summary = ({ opType, input, output }: NodeProto): string =>
  `${opType}(${input.join(", ")}) ${output.join(", ")}`.replaceAll(P, "");

/** After the rows of weights: the same for every kind of head. */
const QUANTIZED = [
  "ReduceMin(blocks, lowest_axes) lowest",
  "Neg(lowest) lowest_negated",
  "ReduceMax(blocks, highest_axes) highest",
  "Max(highest, lowest_negated) peak",
  "Div(peak, steps) share",
  "Max(share, least_scale) scales",
  "Shape(scales) scales_shape",
  "Expand(zero, scales_shape) zeros",
  "QuantizeLinear(blocks, scales, zeros) bytes",
  "Reshape(bytes, weight_shape) weight",
  "MatMulNBits(hidden, weight, scales) logits",
];

describe("quantizeHead", () => {
  it("makes 8-bit weights of an fp32 head's", () => {
    const before = decoder({ head: PLAIN, dims: [64, 96], opset: 18 });
    const bytes = toBinary(ModelProtoSchema, before);
    const { model: result, applied, note } = quantizeHead(before);
    const made = result.graph?.node.slice(1).map(summary);
    assert.deepEqual(made, ["Transpose(w) rows", "Reshape(rows, blocks_shape) blocks", ...QUANTIZED]);
    const product = result.graph?.node.at(-1);
    const attributes = Object.fromEntries(product?.attribute.map(({ name, i }) => [name, Number(i)]) ?? []);
    assert.deepEqual(attributes, { K: 64, N: 96, bits: 8, block_size: 32, accuracy_level: 4 });
    assert.equal(applied, true);
    assert.match(note, /8-bit, 96 x 64/);
    assert.deepEqual(toBinary(ModelProtoSchema, before), bytes);
  });

  it("takes the embedding's rows where the head turns them, and turns them no more", () => {
    const { model: result } = quantizeHead(decoder({ head: TIED, dims: [96, 64], opset: 18 }));
    const made = result.graph?.node.slice(1).map(summary);
    assert.deepEqual(made, ["Reshape(w, blocks_shape) blocks", ...QUANTIZED]);
  });

  it("keeps what turns them for others", () => {
    const other = node("MatMul", ["hidden", "wt"], ["more"]);
    const { model: result } = quantizeHead(decoder({ head: [...TIED, other], dims: [96, 64] }));
    assert.equal(result.graph?.node[1]?.opType, "Transpose");
    assert.equal(result.graph?.node.at(-1), other);
  });

  it("reduces with axes as an attribute before version 18 of the operators", () => {
    const { model: result } = quantizeHead(decoder({ head: PLAIN, dims: [64, 96], opset: 17 }));
    const reductions = result.graph?.node.filter(({ opType }) => opType.startsWith("Reduce")) ?? [];
    assert.deepEqual(
      reductions.map(({ input, attribute }) => [input.length, attribute[0]?.ints]),
      [
        [1, [1n]],
        [1, [1n]],
      ],
    );
  });

  const left: readonly (readonly [string, Variation, RegExp])[] = [
    [
      "of models without 4-bit weights",
      { head: PLAIN, dims: [64, 96], before: node("Relu", ["x"], ["hidden"]) },
      /not a 4-bit/,
    ],
    ["whose features are no multiple of a block", { head: PLAIN, dims: [48, 96] }, /48 features/],
    ["that are fed", { head: PLAIN, dims: [64, 96], fed: true }, /may not be a matrix/],
    [
      "that are computed",
      { head: [node("Relu", ["w"], ["r"]), node("MatMul", ["hidden", "r"], ["logits"])], dims: [64, 96] },
      /may not be a matrix/,
    ],
    [
      "that are 4-bit themselves",
      { head: [node("com.microsoft.MatMulNBits", ["hidden", "w"], ["logits"])], dims: [64, 96] },
      /those of MatMulNBits/,
    ],
    [
      "that were quantized already",
      { head: [node("Relu", ["x"], [`${P}blocks`]), ...PLAIN], dims: [64, 96] },
      /names that are needed/,
    ],
  ];
  for (const [name, variation, why] of left) {
    it(`leaves weights ${name} as they are`, () => {
      const before = decoder(variation);
      const { model: result, applied, note } = quantizeHead(before);
      assert.equal(result, before);
      assert.equal(applied, false);
      assert.match(note, why);
    });
  }
});
