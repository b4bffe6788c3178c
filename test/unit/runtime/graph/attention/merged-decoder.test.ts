import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { fuseAttention } from "../../../../../src/runtime/graph/attention/attention-fusion.js";
import { branchWithPast } from "../../../../../src/runtime/graph/attention/merged-decoder.js";
import { makeNode } from "../../../../../src/runtime/graph/node-attributes.js";
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
} from "../../../../../src/runtime/graph/onnx_pb.js";
import { model, value } from "../../../../support/onnx-graph.js";
import { type PlainDecoderSpec, plainDecoder } from "../../../../support/plain-decoder.js";

/** Both branches are the same one here; the graph around them has its inputs. */
function merged(spec: PlainDecoderSpec = {}, condition = "use_cache_branch"): ModelProto {
  const { graph } = plainDecoder(spec);
  assert.ok(graph);
  const branch = create(GraphProtoSchema, { node: graph.node, output: graph.output });
  const choice = makeNode(
    "If",
    [condition],
    graph.output.map(({ name }) => name),
  );
  choice.attribute = ["else_branch", "then_branch"].map((name) =>
    create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.GRAPH, g: branch }),
  );
  const { initializer, input, output } = graph;
  return model({ node: [choice], initializer, input: [...input, value(condition)], output });
}

const graphOf = ({ graph }: ModelProto): GraphProto => {
  assert.ok(graph);
  return graph;
};

describe("branchWithPast", () => {
  it("puts the branch in the choice's place, and needs no choice any more", () => {
    const taken = branchWithPast(graphOf(merged()));
    const plain = graphOf(plainDecoder());
    assert.deepEqual(taken?.node, plain.node);
    assert.deepEqual(
      taken?.input.map(({ name }) => name),
      plain.input.map(({ name }) => name),
    );
  });

  it("takes no choice of another kind", () => {
    assert.equal(branchWithPast(graphOf(merged({}, "is_long"))), undefined);
    assert.equal(branchWithPast(graphOf(plainDecoder())), undefined);
  });
});

describe("fuseAttention of a merged decoder", () => {
  /** With one token there is nothing after it: exporters leave the triangle out. */
  const everything = [
    makeNode("LessOrEqual", ["columns", "total"], ["causal"]),
    makeNode("Where", ["causal", "zero", "masked"], ["bias"]),
  ];
  const fuse = fuseAttention({ contextLength: 64, heads: undefined });

  it("tries the branch with past with one token, as it was traced", () => {
    const { applied, note } = fuse(merged({ mask: everything }));
    assert.equal(applied, true, note);
    assert.match(note, /of the branch with past/);
  });

  it("leaves both branches where the one is not understood", () => {
    const before = merged({ mask: [makeNode("Einsum", ["columns", "rows"], ["bias"])] });
    assert.equal(fuse(before).model, before);
  });
});
