import assert from "node:assert/strict";
import { toBinary } from "@bufbuild/protobuf";
import { fuseAttention } from "../../../../../src/runtime/graph/attention/attention-fusion.js";
import { makeNode } from "../../../../../src/runtime/graph/node-attributes.js";
import {
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  TensorProto_DataType,
} from "../../../../../src/runtime/graph/onnx_pb.js";
import { node } from "../../../../support/onnx-graph.js";
import { causalMask, type PlainDecoderSpec, plainDecoder } from "../../../../support/plain-decoder.js";

const fuse = fuseAttention({ contextLength: 64, heads: undefined });

function attentionOf({ graph }: ModelProto): NodeProto {
  const found = graph?.node.filter(({ opType }) => opType === "GroupQueryAttention") ?? [];
  assert.equal(found.length, 1);
  return found[0] as NodeProto;
}

function attributesOf({ attribute }: NodeProto): Record<string, number> {
  return Object.fromEntries(attribute.map(({ name, type, i, f }) => [name, type === 1 ? f : Number(i)]));
}

/** The same with every float cut to its upper half. */
function inBfloat16(model: ModelProto): ModelProto {
  const { FLOAT, BFLOAT16 } = TensorProto_DataType;
  for (const tensor of model.graph?.initializer ?? []) {
    if (tensor.dataType !== FLOAT) continue;
    tensor.dataType = BFLOAT16;
    const halves = new Uint16Array(new Uint8Array(tensor.rawData).buffer).filter((_, at) => at % 2 === 1);
    tensor.rawData = new Uint8Array(halves.buffer);
  }
  for (const { name, type } of model.graph?.input ?? []) {
    if (type?.value.case === "tensorType" && /^past/.test(name)) type.value.value.elemType = BFLOAT16;
  }
  return model;
}

describe("fuseAttention", () => {
  it("makes one operator of attention, which takes lengths from the mask", () => {
    const before = plainDecoder({ heads: 4, kvHeads: 2, positionInput: true });
    const bytes = toBinary(ModelProtoSchema, before);
    const { model: after, applied, note } = fuse(before);
    assert.equal(applied, true);
    assert.match(note, /1 layers made GroupQueryAttention\.$/);
    const attention = attentionOf(after);
    assert.deepEqual(attention.input.slice(3, 5), ["past_key_values.0.key", "past_key_values.0.value"]);
    assert.deepEqual(attention.output.slice(1), ["present.0.key", "present.0.value"]);
    assert.deepEqual(attributesOf(attention), { num_heads: 4, kv_num_heads: 2, scale: 0.25 });
    assert.deepEqual(
      after.opsetImport.map(({ domain, version }) => [domain, Number(version)]),
      [
        ["", 17],
        ["com.microsoft", 1],
      ],
    );
    assert.deepEqual(toBinary(ModelProtoSchema, before), bytes, "the graph it was given is another one");
  });

  it("takes queries in the precision of the cache", () => {
    const { graph } = fuse(plainDecoder()).model;
    const cast = graph?.node.find(({ input }) => input[0] === "query");
    assert.equal(cast?.opType, "Cast");
    assert.deepEqual(attributesOf(cast), { to: 1 });
  });

  it("reads masks and scales in bfloat16, whose cache stays what it is", () => {
    const { model: after, note } = fuse(inBfloat16(plainDecoder(causalMask(16))));
    assert.match(note, /1 layers made GroupQueryAttention\.$/);
    const { local_window_size, scale } = attributesOf(attentionOf(after));
    assert.deepEqual([local_window_size, scale], [16, 0.25]);
    const cast = after.graph?.node.find(({ input }) => input[0] === "query");
    assert.deepEqual(cast && attributesOf(cast), { to: TensorProto_DataType.BFLOAT16 });
  });

  it("leaves nothing of the mask's arithmetic, and every value made before it is read", () => {
    const { graph } = fuse(plainDecoder({ positionInput: true })).model;
    const names = graph?.node.map(({ opType }) => opType) ?? [];
    assert.ok(
      !names.some((name) => ["Softmax", "Concat", "Where", "LessOrEqual", "Expand"].includes(name)),
      String(names),
    );
    const known = new Set([...(graph?.input ?? []), ...(graph?.initializer ?? [])].map(({ name }) => name));
    for (const { input, output, opType } of graph?.node ?? []) {
      for (const name of input) assert.ok(known.has(name), `${opType} reads ${name} before it is made`);
      for (const name of output) known.add(name);
    }
    for (const { name } of graph?.output ?? []) assert.ok(known.has(name), name);
  });

  it("gives the window of a sliding mask, as wide as it is", () => {
    for (const window of [1, 2, 16, 63]) {
      assert.equal(attributesOf(attentionOf(fuse(plainDecoder(causalMask(window))).model)).local_window_size, window);
    }
  });

  it("takes a window that no sequence reaches for none", () => {
    assert.equal(attributesOf(attentionOf(fuse(plainDecoder(causalMask(64))).model)).local_window_size, undefined);
  });

  it("gives the soft cap, and the scale before it", () => {
    const { scale, softcap } = attributesOf(attentionOf(fuse(plainDecoder({ softcap: 50 })).model));
    assert.deepEqual([scale, softcap], [0.25, 50]);
  });

  it("makes an input of positions that are counted from the cache", () => {
    const { graph } = fuse(plainDecoder()).model;
    assert.ok(graph?.input.some(({ name }) => name === "position_ids"));
    assert.deepEqual(graph?.node.find(({ output }) => output[0] === "placed")?.input, ["places", "position_ids"]);
  });

  it("asks config.json for the heads where all share one key head", () => {
    const shared = plainDecoder({ heads: 1 });
    assert.equal(attributesOf(attentionOf(fuseAttention({ contextLength: 64, heads: 1 })(shared).model)).num_heads, 1);
    assert.match(fuse(shared).note, /heads are repeated in a way not known/);
  });

  const columnsAsBias = [makeNode("Cast", ["columns"], ["bias"], { to: 1n })];
  const everything = [
    makeNode("LessOrEqual", ["columns", "total"], ["causal"]),
    makeNode("Where", ["causal", "zero", "masked"], ["bias"]),
  ];
  const half = [
    makeNode("LessOrEqual", ["columns", "rows"], ["causal"]),
    makeNode("Where", ["causal", "root", "masked"], ["bias"]),
  ];
  const unknown = [makeNode("Einsum", ["columns", "rows"], ["bias"])];
  /** Causal, but for what is 40 back alone. */
  const hole = [
    ...causalMask().mask.slice(0, 1),
    makeNode("Sub", ["rows", "window"], ["gap"]),
    makeNode("Equal", ["columns", "gap"], ["gone"]),
    makeNode("Not", ["gone"], ["there"]),
    makeNode("And", ["causal", "there"], ["both"]),
    makeNode("Where", ["both", "zero", "masked"], ["bias"]),
  ];
  const refusals: readonly (readonly [string, PlainDecoderSpec, RegExp])[] = [
    ["whose scores go by distance (ALiBi)", { mask: columnsAsBias }, /mask cannot be computed/],
    ["that sees what comes later", { mask: everything }, /neither causal nor a sliding window/],
    ["with a hole in what it sees", { mask: hole, constants: { window: 40 } }, /neither causal nor a sliding window/],
    ["whose mask is no mask", { mask: half }, /mask cannot be computed/],
    ["whose mask is made in a way not known", { mask: unknown }, /mask cannot be computed/],
    ["without a mask", { withoutMask: true }, /there is no attention_mask/],
    ["of old operators", { opset: 12 }, /operators are those of version 12/],
    [
      "whose cache is read elsewhere",
      { more: [node("ReduceSum", ["present.0.key"], ["sum"])], outputs: ["sum"] },
      /its ReduceSum goes by the width of the cache/,
    ],
    [
      "whose mask is used elsewhere",
      { more: [node("ReduceSum", ["attention_mask"], ["sum"])], outputs: ["sum"] },
      /its ReduceSum goes by the width of the cache/,
    ],
    [
      "whose scores are read elsewhere",
      { more: [node("Identity", ["seen"], ["again"])], outputs: ["again"] },
      /what attention gives is read twice/,
    ],
  ];
  for (const [what, spec, why] of refusals) {
    it(`leaves a graph ${what}`, () => {
      const before = plainDecoder(spec);
      const { model: after, applied, note } = fuse(before);
      assert.match(note, why);
      assert.equal(applied, false);
      assert.equal(after, before);
    });
  }

  it("leaves a graph that has the operator", () => {
    const { model: fused } = fuse(plainDecoder());
    assert.match(fuse(fused).note, /it is fused already/);
  });
});
