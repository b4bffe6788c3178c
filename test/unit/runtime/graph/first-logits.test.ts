import assert from "node:assert/strict";
import { beginLogits, FIRST_LOGITS } from "../../../../src/runtime/graph/first-logits.js";
import { type ModelProto, type NodeProto, TensorProto_DataType } from "../../../../src/runtime/graph/onnx_pb.js";
import { dimensionsOf, model, node, value } from "../../../support/onnx-graph.js";
import { ids } from "../../../support/plain-decoder.js";

interface Variation {
  readonly count?: string;
  readonly type?: TensorProto_DataType;
  /** What makes `start` of the count. */
  readonly between?: readonly NodeProto[];
  readonly more?: readonly NodeProto[];
}

const NEGATED = [node("Neg", ["num_logits_to_keep"], ["minus"]), node("Unsqueeze", ["minus", "zero"], ["start"])];

/** A hidden state whose last positions are kept, and the head that makes logits of them. */
function graph(variation: Variation = {}): ModelProto {
  const { count = "num_logits_to_keep", type = TensorProto_DataType.INT64, between = NEGATED, more = [] } = variation;
  const counted = value(count, []);
  if (counted.type?.value.case === "tensorType") counted.type.value.value.elemType = type;
  return model({
    node: [
      ...between,
      node("Slice", ["hidden", "start", "end", "axis"], ["kept"]),
      node("MatMul", ["kept", "weights"], ["logits"]),
      ...more,
    ],
    initializer: [ids("zero", [0]), ids("end", [2 ** 31]), ids("axis", [1])],
    input: [value("hidden"), counted],
    output: ["logits", ...more.flatMap(({ output }) => output)].map((name) => value(name)),
  });
}

describe("beginLogits", () => {
  const chains: [string, readonly NodeProto[]][] = [
    ["negated, then a vector", NEGATED],
    [
      "a vector, then negated",
      [node("Reshape", ["num_logits_to_keep", "shape"], ["v"]), node("Neg", ["v"], ["start"])],
    ],
  ];
  for (const [what, between] of chains) {
    it(`feeds Slice what it begins at, in place of a count that is ${what}`, () => {
      const { model: after, applied, note } = beginLogits(graph({ between }));
      assert.equal(applied, true, note);
      assert.deepEqual(
        after.graph?.node.map(({ opType, input }) => [opType, ...input]),
        [
          ["Slice", "hidden", FIRST_LOGITS, "end", "axis"],
          ["MatMul", "kept", "weights"],
        ],
      );
      assert.deepEqual(
        after.graph?.input.map((input) => [input.name, dimensionsOf(input)]),
        [
          ["hidden", undefined],
          [FIRST_LOGITS, [1n]],
        ],
      );
    });
  }

  const reading = node("Cast", ["num_logits_to_keep"], ["other"], { to: 1 });
  const refusals: readonly (readonly [string, Variation, RegExp])[] = [
    ["without a count", { count: "other" }, /no count/],
    ["whose count is of another type", { type: TensorProto_DataType.INT32 }, /no int64/],
    ["that read the count elsewhere", { more: [reading] }, /more than a Slice/],
    [
      "whose count is not negated",
      { between: [node("Identity", ["num_logits_to_keep"], ["start"])] },
      /more than a Slice/,
    ],
    [
      "whose count is negated twice",
      { between: [node("Neg", ["num_logits_to_keep"], ["a"]), node("Neg", ["a"], ["start"])] },
      /more than a Slice/,
    ],
    [
      "that make something else of it",
      { between: [node("Sub", ["zero", "num_logits_to_keep"], ["start"])] },
      /more than a Slice/,
    ],
  ];
  for (const [what, variation, why] of refusals) {
    it(`leaves graphs ${what}`, () => {
      const before = graph(variation);
      const { model: after, note } = beginLogits(before);
      assert.match(note, why);
      assert.equal(after, before);
    });
  }
});
