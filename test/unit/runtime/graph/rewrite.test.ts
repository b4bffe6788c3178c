import assert from "node:assert/strict";
import { fromBinary } from "@bufbuild/protobuf";
import { NodeProtoSchema } from "../../../../src/runtime/graph/onnx_pb.js";
import { applyRewrites, type Rewrite, withFields } from "../../../../src/runtime/graph/rewrite.js";
import { message } from "../../../support/onnx-builder.js";
import { model, node } from "../../../support/onnx-graph.js";

describe("applyRewrites", () => {
  const adding =
    (op: string): Rewrite =>
    (before) => {
      const graph = before.graph && withFields(before.graph, { node: [...before.graph.node, node(op, [], [])] });
      return { model: withFields(before, { graph }), applied: true, note: `added ${op}` };
    };
  const none: Rewrite = (before) => ({ model: before, applied: false, note: "nothing" });

  it("gives each what the one before made, and hears from all", () => {
    const { model: result, applied, notes } = applyRewrites(model({}), [adding("A"), none, adding("B")]);
    assert.deepEqual(
      result.graph?.node.map(({ opType }) => opType),
      ["A", "B"],
    );
    assert.equal(applied, true);
    assert.deepEqual(notes, ["added A", "nothing", "added B"]);
  });

  it("tells when none applied", () => {
    const before = model({});
    const { model: result, applied } = applyRewrites(before, [none]);
    assert.equal(result, before);
    assert.equal(applied, false);
  });
});

describe("withFields", () => {
  it("keeps unknown fields, and what unset fields read as", () => {
    const before = fromBinary(NodeProtoSchema, message([1, "x"], [4, "Op"], [200, "unknown"]));
    const after = withFields(before, { output: ["y"] });
    assert.equal(after.domain, "");
    assert.equal(after.input, before.input);
    assert.deepEqual(after.output, ["y"]);
    assert.deepEqual(before.output, []);
    assert.equal(after.$unknown, before.$unknown);
    assert.equal(after.$unknown?.length, 1);
  });
});
