import assert from "node:assert/strict";
import { toBinary } from "@bufbuild/protobuf";
import { FIRST_LOGITS } from "../../../../src/runtime/graph/first-logits.js";
import {
  AttributeProto_AttributeType,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  type TensorProto,
} from "../../../../src/runtime/graph/onnx_pb.js";
import { keepLastLogits } from "../../../../src/runtime/graph/output-head.js";
import { dimensionsOf, model, node, value, weights } from "../../../support/onnx-graph.js";

const HIDDEN = "vitrine/output_head/hidden";
const SHAPE = ["batch", "sequence", 50];

const norm = node("LayerNormalization", ["x"], ["hidden"]);
const matrix = weights("w", 8, 50);
const scalar = weights("cap");

function decoder(nodes: NodeProto[], initializer: TensorProto[] = [matrix, scalar, weights("bias", 50)]): ModelProto {
  return model({ node: [norm, ...nodes], initializer, input: [value("x")], output: [value("logits", SHAPE)] });
}

/** Operators from the cut on, with what they read. */
function afterCut({ graph }: ModelProto): string[] {
  const nodes = graph?.node ?? [];
  const cut = nodes.findIndex(({ opType }) => opType === "Slice");
  return nodes.slice(cut + 1).map(({ opType, input }) => `${opType} ${input.join(" ")}`);
}

describe("keepLastLogits", () => {
  const heads: [string, NodeProto[], string[]][] = [
    ["a product", [node("MatMul", ["hidden", "w"], ["logits"])], [`MatMul ${HIDDEN} w`]],
    [
      "a bias",
      [node("MatMul", ["hidden", "w"], ["a"]), node("Add", ["bias", "a"], ["logits"])],
      [`MatMul ${HIDDEN} w`, "Add bias a"],
    ],
    [
      "a soft cap",
      [
        node("MatMul", ["hidden", "w"], ["a"]),
        node("Div", ["a", "cap"], ["b"]),
        node("Tanh", ["b"], ["c"]),
        node("Mul", ["c", "cap"], ["d"]),
        node("Cast", ["d"], ["logits"]),
      ],
      [`MatMul ${HIDDEN} w`, "Div a cap", "Tanh b", "Mul c cap", "Cast d"],
    ],
    [
      "tied embeddings",
      [node("Transpose", ["w"], ["wt"]), node("MatMul", ["hidden", "wt"], ["logits"])],
      [`MatMul ${HIDDEN} wt`],
    ],
    [
      "4-bit weights",
      [node("com.microsoft.MatMulNBits", ["hidden", "w", "scales"], ["logits"])],
      [`MatMulNBits ${HIDDEN} w scales`],
    ],
    [
      "dynamic int8, whose scale stays that of all rows",
      [
        node("DynamicQuantizeLinear", ["hidden"], ["q", "q_scale", "q_zero"]),
        node("Mul", ["q_scale", "cap"], ["scale"]),
        node("MatMulInteger", ["q", "w", "q_zero"], ["a"]),
        node("Cast", ["a"], ["b"]),
        node("Mul", ["b", "scale"], ["logits"]),
      ],
      [`MatMulInteger ${HIDDEN} w q_zero`, "Cast a", "Mul b scale"],
    ],
  ];
  for (const [what, nodes, expected] of heads) {
    it(`cuts before a head with ${what}`, () => {
      const { model: result, applied, note } = keepLastLogits(decoder(nodes));
      assert.deepEqual(afterCut(result), expected);
      assert.equal(applied, true);
      assert.match(note, /last positions only/);
    });
  }

  it("adds the input for how many, and says so of the output", () => {
    const { graph } = keepLastLogits(decoder([node("MatMul", ["hidden", "w"], ["logits"])])).model;
    const input = graph?.input.at(-1);
    assert.ok(input && graph?.output[0]);
    assert.equal(input.name, FIRST_LOGITS);
    assert.deepEqual(dimensionsOf(input), [1n]);
    assert.deepEqual(dimensionsOf(graph.output[0]), ["batch", "num_logits_to_keep", 50n]);
    // From there to the end, on axis 1, with no operator between that would run where Slice does not read.
    const slice = graph.node.find(({ opType }) => opType === "Slice");
    assert.equal(slice?.input[0], "hidden");
    assert.equal(slice?.input[1], FIRST_LOGITS);
    const bounds = slice?.input.slice(2).map((name) => graph.initializer.find((tensor) => tensor.name === name));
    assert.deepEqual(
      bounds?.map((tensor) => tensor && Buffer.from(tensor.rawData).readBigInt64LE()),
      [2n ** 63n - 1n, 1n],
    );
  });

  it("leaves the graph it was given as it was", () => {
    const before = decoder([node("MatMul", ["hidden", "w"], ["logits"])]);
    const bytes = toBinary(ModelProtoSchema, before);
    assert.notDeepEqual(toBinary(ModelProtoSchema, keepLastLogits(before).model), bytes);
    assert.deepEqual(toBinary(ModelProtoSchema, before), bytes);
  });

  const product = node("MatMul", ["hidden", "w"], ["logits"]);
  const scores = node("MatMul", ["hidden", "w"], ["a"]);
  const inBranch = node("If", ["x"], ["y"]);
  inBranch.attribute.push({
    ...(node("", [], [], { then_branch: 0 }).attribute[0] as NodeProto["attribute"][number]),
    type: AttributeProto_AttributeType.GRAPH,
    g: model({ node: [node("Neg", ["a"], ["z"])] }).graph,
  });
  const changed = (change: (graph: NonNullable<ModelProto["graph"]>) => void): ModelProto => {
    const result = decoder([product]);
    if (result.graph) change(result.graph);
    return result;
  };
  const others: [string, ModelProto, RegExp][] = [
    ["no graph", { ...decoder([]), graph: undefined }, /no logits/],
    ["other outputs", changed((g) => g.output.splice(0, 1, value("scores", SHAPE))), /no logits/],
    ["no declared shape", changed((g) => g.output.splice(0, 1, value("logits"))), /does not say/],
    ["two dimensions", changed((g) => g.output.splice(0, 1, value("logits", ["batch", 50]))), /three dimensions/],
    ["one row", changed((g) => g.output.splice(0, 1, value("logits", ["batch", 1, 50]))), /have 1 rows/],
    ["the input already", changed((g) => g.input.push(value("num_logits_to_keep"))), /can do it already/],
    ["old operators", { ...decoder([product]), opsetImport: model({}, 9).opsetImport }, /version 9/],
    ["the name for something else", decoder([node("Neg", [FIRST_LOGITS], ["n"]), product]), /names/],
    ["no producer of logits", decoder([]), /"logits" is made by no operator/],
    ["a head of another kind", decoder([node("If", ["hidden"], ["logits"])]), /"logits" comes from If/],
    [
      "an operator of that name in another domain",
      decoder([node("my.MatMul", ["hidden", "w"], ["logits"])]),
      /my\.MatMul/,
    ],
    [
      "scores that are used elsewhere",
      decoder([scores, node("Tanh", ["a"], ["logits"]), node("Neg", ["a"], ["n"])]),
      /"a" is used/,
    ],
    ["scores that are used in a branch", decoder([scores, node("Tanh", ["a"], ["logits"]), inBranch]), /"a" is used/],
    ["a bias of every row", decoder([scores, node("Add", ["a", "x"], ["logits"])]), /Add has 2 inputs that may differ/],
    ["a bias of two dimensions", decoder([scores, node("Add", ["a", "w"], ["logits"])]), /may differ by row/],
    ["weights of three dimensions", decoder([product], [weights("w", 2, 8, 50)]), /may not be a matrix/],
    ["weights that are computed", decoder([node("MatMul", ["hidden", "x"], ["logits"])]), /may not be a matrix/],
    ["weights that can be fed", changed((g) => g.input.push(value("w", [8, 50]))), /may not be a matrix/],
  ];
  for (const [what, before, why] of others) {
    it(`leaves a graph with ${what} as it is`, () => {
      const { model: result, applied, note } = keepLastLogits(before);
      assert.equal(result, before);
      assert.equal(applied, false);
      assert.match(note, /^Output head: left as it is; /);
      assert.match(note, why);
    });
  }
});
