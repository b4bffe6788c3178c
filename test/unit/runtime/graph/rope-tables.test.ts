import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { makeNode } from "../../../../src/runtime/graph/node-attributes.js";
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  type ModelProto,
  type NodeProto,
} from "../../../../src/runtime/graph/onnx_pb.js";
import { joinRopeTables } from "../../../../src/runtime/graph/rope-tables.js";
import { model, node, value, weights } from "../../../support/onnx-graph.js";
import { ids } from "../../../support/plain-decoder.js";

const SHORT = 96;
const LONG = 128;

function branch(kind: string, rows: number, operator = "Constant") {
  const nodes = ["cos", "sin"].map((name) => {
    const table = makeNode(operator, [], [`${name}_${kind}`]);
    const t = weights("", rows, 8);
    table.attribute = [create(AttributeProtoSchema, { name: "value", type: AttributeProto_AttributeType.TENSOR, t })];
    return table;
  });
  return create(GraphProtoSchema, { node: nodes, output: nodes.map(({ output }) => value(output[0] ?? "")) });
}

interface Variation {
  readonly shortRows?: number;
  readonly operator?: string;
  readonly compare?: "Greater" | "LessOrEqual" | "Equal";
  readonly limit?: number;
  readonly more?: readonly NodeProto[];
}

/** Tables that are chosen by the width of the mask, and one attention that takes them. */
function graph({
  shortRows = SHORT,
  operator,
  compare = "Greater",
  limit = SHORT,
  more = [],
}: Variation = {}): ModelProto {
  const choice = makeNode("If", ["is_long"], ["cos", "sin"]);
  const branches = { Greater: ["then", "else"], LessOrEqual: ["else", "then"], Equal: ["then", "else"] }[compare];
  choice.attribute = [branch("long", LONG, operator), branch("short", shortRows, operator)].map((g, at) =>
    create(AttributeProtoSchema, { name: `${branches[at]}_branch`, type: AttributeProto_AttributeType.GRAPH, g }),
  );
  const inputs = ["x", "", "", "past", "past_value", "lengths", "total", "cos", "sin", "", "", ""];
  return model({
    node: [
      node("Shape", ["attention_mask"], ["mask_shape"]),
      node("Gather", ["mask_shape", "one"], ["width"]),
      node(compare, ["width", "limit"], ["is_long"]),
      choice,
      node("com.microsoft.GroupQueryAttention", inputs, ["y", "key", "new_value"], { do_rotary: 1 }),
      ...more,
    ],
    initializer: [ids("one", [1]), ids("limit", [limit])],
    input: [value("attention_mask", ["batch", "total"])],
    output: ["y", "key", "new_value", ...more.flatMap(({ output }) => output)].map((name) => value(name)),
  });
}

describe("joinRopeTables", () => {
  const join = joinRopeTables(SHORT);

  for (const compare of ["Greater", "LessOrEqual"] as const) {
    it(`puts the long tables below the short ones, chosen by ${compare}`, () => {
      const before = graph({ compare });
      const { model: after, applied, note } = join(before);
      assert.equal(applied, true, note);
      assert.match(note, /from 97 tokens on/);
      const made = after.graph?.node
        .filter(({ opType }) => opType === "Concat")
        .map(({ input, output }) => [output[0], ...input]);
      assert.deepEqual(made, [
        ["cos", "cos_short", "cos_long"],
        ["sin", "sin_short", "sin_long"],
      ]);
      const attention = after.graph?.node.at(-1)?.input.slice(7);
      assert.deepEqual(attention, ["cos", "sin", "rotary_position_ids", "", ""]);
      assert.ok(after.graph?.input.some(({ name }) => name === "rotary_position_ids"));
      assert.ok(!after.graph?.node.some(({ opType }) => opType === "If"));
    });
  }

  const refusals: readonly (readonly [string, Variation, RegExp])[] = [
    ["whose short tables are of another length", { shortRows: 64 }, /has not 96 rows/],
    ["that choose at another length", { limit: 100 }, /not chosen by the length/],
    ["that choose for one length alone", { compare: "Equal", limit: SHORT + 1 }, /not chosen by the length/],
    ["that are computed", { operator: "RandomNormal" }, /not constants/],
    ["that something else reads", { more: [node("Neg", ["cos"], ["other"])] }, /more than attention reads them/],
  ];
  for (const [what, variation, why] of refusals) {
    it(`leaves tables ${what}`, () => {
      const before = graph(variation);
      const { model: after, note } = join(before);
      assert.match(note, why);
      assert.equal(after, before);
    });
  }
});
