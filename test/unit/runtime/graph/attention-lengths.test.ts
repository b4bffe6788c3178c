import assert from "node:assert/strict";
import { feedLengths } from "../../../../src/runtime/graph/attention-lengths.js";
import type { ModelProto, NodeProto } from "../../../../src/runtime/graph/onnx_pb.js";
import { dimensionsOf, model, node, value } from "../../../support/onnx-graph.js";
import { ids } from "../../../support/plain-decoder.js";

interface Variation {
  /** What is taken from the count of ones. */
  readonly less?: number;
  readonly more?: readonly NodeProto[];
  readonly attention?: string;
}

/** Two layers of attention whose lengths are counted from the mask, as exporters write it. */
function graph({ less = 1, more = [], attention = "com.microsoft.GroupQueryAttention" }: Variation = {}): ModelProto {
  const layer = (at: number) =>
    node(attention, ["x", "", "", `past${at}`, `value${at}`, "rows", "total"], [`y${at}`, `k${at}`, `v${at}`]);
  return model({
    node: [
      node("ReduceSum", ["attention_mask", "axis"], ["sum"], { keepdims: 0 }),
      node("Sub", ["sum", "less"], ["rows64"]),
      node("Cast", ["rows64"], ["rows"], { to: 6 }),
      node("Shape", ["attention_mask"], ["mask_shape"]),
      node("Gather", ["mask_shape", "axis"], ["total64"]),
      node("Cast", ["total64"], ["total"], { to: 6 }),
      layer(0),
      layer(1),
      ...more,
    ],
    initializer: [ids("axis", [1]), ids("less", [less])],
    input: [value("attention_mask", ["batch", "total"]), value("x")],
    output: ["y0", "y1", ...more.flatMap(({ output }) => output)].map((name) => value(name)),
  });
}

describe("feedLengths", () => {
  it("feeds attention the lengths, and drops the mask and what counted it", () => {
    const { model: after, applied, note } = feedLengths(graph());
    assert.equal(applied, true, note);
    assert.deepEqual(
      after.graph?.node.map(({ opType, input }) => [opType, ...input.slice(5)]),
      Array.from({ length: 2 }, () => ["GroupQueryAttention", "seqlens_k", "total_sequence_length"]),
    );
    assert.deepEqual(
      after.graph?.input.map((input) => [input.name, dimensionsOf(input)]),
      [
        ["x", undefined],
        ["seqlens_k", ["batch_size"]],
        ["total_sequence_length", [1n]],
      ],
    );
  });

  const refusals: readonly (readonly [string, Variation, RegExp])[] = [
    ["whose lengths are others", { less: 2 }, /something else/],
    ["that read the mask elsewhere", { more: [node("Neg", ["attention_mask"], ["other"])] }, /more than attention/],
    ["without such attention", { attention: "com.microsoft.MultiHeadAttention" }, /no GroupQueryAttention/],
    ["that have the names already", { more: [node("Neg", ["x"], ["seqlens_k"])] }, /names/],
  ];
  for (const [what, variation, why] of refusals) {
    it(`leaves graphs ${what}`, () => {
      const before = graph(variation);
      const { model: after, note } = feedLengths(before);
      assert.match(note, why);
      assert.equal(after, before);
    });
  }
});
