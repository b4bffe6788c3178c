import assert from "node:assert/strict";
import { toBinary } from "@bufbuild/protobuf";
import { setAccuracyLevel } from "../../../../src/runtime/graph/accuracy-level.js";
import {
  AttributeProto_AttributeType,
  type GraphProto,
  ModelProtoSchema,
  type NodeProto,
} from "../../../../src/runtime/graph/onnx_pb.js";
import { model, node } from "../../../support/onnx-graph.js";

const product = (integers: Record<string, number>): NodeProto =>
  node("com.microsoft.MatMulNBits", ["a", "b", "scales"], ["c"], { K: 64, N: 8, ...integers });

const levels = (graph: GraphProto | undefined) =>
  graph?.node.map(({ attribute }) =>
    attribute.filter(({ name }) => name === "accuracy_level").map(({ i }) => Number(i)),
  );

describe("setAccuracyLevel", () => {
  it("sets 4 where 4-bit products leave it open, and nowhere else", () => {
    const before = model({
      node: [
        product({ bits: 4 }),
        product({ bits: 4, accuracy_level: 0 }),
        product({}),
        product({ bits: 4, accuracy_level: 1 }),
        product({ bits: 8 }),
        node("MatMulNBits", ["a"], ["c"], { bits: 4 }),
        node("MatMul", ["a", "b"], ["c"]),
      ],
    });
    const bytes = toBinary(ModelProtoSchema, before);
    const { model: result, applied, note } = setAccuracyLevel(before);
    assert.deepEqual(levels(result.graph), [[4], [4], [4], [1], [], [], []]);
    assert.equal(applied, true);
    assert.match(note, /on 3 of 4\./);
    assert.deepEqual(result.graph?.node[0]?.attribute.at(-1)?.type, AttributeProto_AttributeType.INT);
    assert.deepEqual(toBinary(ModelProtoSchema, before), bytes);
  });

  it("reaches into branches", () => {
    const branches = node("If", ["use_cache"], ["c"], { then_branch: 0 });
    const [attribute] = branches.attribute;
    assert.ok(attribute);
    attribute.g = model({ node: [product({ bits: 4 })] }).graph;
    const result = setAccuracyLevel(model({ node: [branches] })).model;
    assert.deepEqual(levels(result.graph?.node[0]?.attribute[0]?.g), [[4]]);
    assert.deepEqual(levels(attribute.g), [[]]);
  });

  it("leaves graphs without such products, or with levels of their own, as they are", () => {
    for (const [nodes, why] of [
      [[node("MatMul", ["a", "b"], ["c"])], /there are none/],
      [[product({ bits: 4, accuracy_level: 2 })], /the file says otherwise/],
    ] as const) {
      const before = model({ node: [...nodes] });
      const { model: result, applied, note } = setAccuracyLevel(before);
      assert.equal(result, before);
      assert.equal(applied, false);
      assert.match(note, why);
    }
  });
});
