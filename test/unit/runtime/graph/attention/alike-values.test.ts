import assert from "node:assert/strict";
import { areAlike } from "../../../../../src/runtime/graph/attention/alike-values.js";
import { GraphIndex } from "../../../../../src/runtime/graph/graph-index.js";
import { model, node } from "../../../../support/onnx-graph.js";

describe("areAlike", () => {
  const { graph } = model({
    node: [
      node("Shape", ["key_1"], ["shape_1"]),
      node("Slice", ["mask", "shape_1"], ["mask_1"], { axis: 1 }),
      node("Shape", ["key_2"], ["shape_2"]),
      node("Slice", ["mask", "shape_2"], ["mask_2"], { axis: 1 }),
      node("Slice", ["mask", "shape_2"], ["other_axis"], { axis: 2 }),
      node("Slice", ["local_mask", "shape_2"], ["other_mask"], { axis: 1 }),
      node("Gather", ["mask", "shape_2"], ["other_operator"], { axis: 1 }),
      node("Split", ["mask"], ["left", "right"]),
      node("Split", ["mask"], ["left_too", "right_too"]),
    ],
  });
  assert.ok(graph);
  const index = new GraphIndex(graph);
  const isSame = (one: string, other: string) => one === "key_1" && other === "key_2";

  it("is so for what is made alike of what is the same", () => {
    assert.equal(areAlike("mask_1", "mask_2", index, isSame), true);
    assert.equal(areAlike("left", "left_too", index, isSame), true);
  });

  it("is not so for other inputs, operators, attributes or outputs", () => {
    assert.equal(
      areAlike("mask_1", "mask_2", index, () => false),
      false,
    );
    for (const other of ["other_axis", "other_mask", "other_operator", "key_2"]) {
      assert.equal(areAlike("mask_1", other, index, isSame), false, other);
    }
    assert.equal(areAlike("left", "right_too", index, isSame), false);
  });
});
