import assert from "node:assert/strict";
import { join } from "node:path";
import type { DeviceChoice } from "../../../../src/protocol.js";
import { type GraphNode, prepareGraph } from "../../../../src/runtime/graph/prepare-graph.js";
import { whyNoSlotCache, whyNotNative } from "../../../../src/runtime/native/slot-cache-support.js";
import type { GraphSignature } from "../../../../src/runtime/signature/graph-signature.js";
import { temporaryFolders, writeFiles } from "../../../support/model-fixture.js";
import { buildDecoder } from "../../../support/onnx-builder.js";

const folder = temporaryFolders();

function read(content: Uint8Array): GraphNode[] {
  const path = join(writeFiles(folder(), { "model.onnx": content }), "model.onnx");
  return [...prepareGraph({ path, dtype: "fp32", weightBytes: content.length }).nodes];
}

describe("slot cache support", () => {
  const cpu: DeviceChoice = { requested: "cpu", provider: "cpu", reason: "" };
  const nodes = read.bind(null, buildDecoder().graph);
  const cache = [0, 1].flatMap((layer) =>
    ["key", "value"].map((kind) => ({
      past: `past_key_values.${layer}.${kind}`,
      present: `present.${layer}.${kind}`,
      heads: 1,
      headDim: 8,
      empty: [1, 1, 0, 8],
    })),
  );
  const signature: GraphSignature = {
    inputIds: { name: "input_ids", type: "int64" },
    attentionMask: { name: "attention_mask", type: "int64" },
    lengths: undefined,
    positionIds: undefined,
    rotaryPositions: undefined,
    logitsToKeep: undefined,
    useCacheBranch: undefined,
    logits: { name: "logits", type: "float32" },
    vocabSize: 32,
    cacheType: "float32",
    cache,
    layers: 2,
  };
  const changed = (operator: string, change: (node: GraphNode) => Partial<GraphNode>): GraphNode[] =>
    nodes().map((node) => (node.operator === operator ? { ...node, ...change(node) } : node));

  const mask = (output: string): GraphNode => ({
    operator: "Cast",
    domain: "",
    inputs: ["attention_mask"],
    outputs: [output],
  });

  const notNative = (plain: readonly GraphNode[], device: DeviceChoice) =>
    whyNotNative({ nodes: plain, fusion: undefined }, device);

  it("is there for GroupQueryAttention with past and present", () => {
    assert.equal(notNative(nodes(), cpu), undefined);
    assert.equal(whyNoSlotCache(signature, [], nodes()), undefined);
    assert.equal(whyNoSlotCache(signature, [], [mask("unused"), ...nodes()]), undefined);
  });

  const attention = "GroupQueryAttention";
  it("says why plain attention was not fused", () => {
    const fusion = "Attention: left as it is; its mask is odd.";
    const why = whyNotNative({ nodes: changed(attention, () => ({ operator: "Concat" })), fusion }, cpu);
    assert.match(why ?? "", /no GroupQueryAttention, .* in place \(Attention: left as it is; its mask is odd\)$/);
    assert.equal(whyNotNative({ nodes: nodes(), fusion }, cpu), undefined);
  });

  const obstacles: [string, () => string | undefined, RegExp][] = [
    [
      "activations that are rounded together, on a device",
      () =>
        notNative(
          changed(attention, () => ({ operator: "DynamicQuantizeLinear" })),
          { ...cpu, provider: "cuda" },
        ),
      /DynamicQuantizeLinear rounds all tokens of a run alike/,
    ],
    [
      "plain attention",
      () =>
        notNative(
          changed(attention, () => ({ operator: "Concat" })),
          cpu,
        ),
      /no GroupQuery/,
    ],
    [
      "another domain",
      () =>
        notNative(
          changed(attention, () => ({ domain: "mine" })),
          cpu,
        ),
      /no GroupQuery/,
    ],
    ["no mask", () => whyNoSlotCache({ ...signature, attentionMask: undefined }, [], nodes()), /no attention_mask/],
    [
      "a fixed batch",
      () => whyNoSlotCache(signature, [{ name: "input_ids", type: "int64", shape: [1, "n"] }], nodes()),
      /batch is fixed: "input_ids" is \[1, n\]/,
    ],
    [
      "queries that depend on the mask",
      () =>
        whyNoSlotCache(
          signature,
          [],
          changed(attention, ({ inputs }) => ({ inputs: ["mask64", ...inputs.slice(1)] })),
        ),
      /more of attention_mask than each row's length/,
    ],
    [
      "rotary tables that depend on the mask's width",
      () =>
        whyNoSlotCache(
          signature,
          [],
          changed(attention, ({ inputs }) => ({ inputs: [...inputs, "total64"] })),
        ),
      /more of attention_mask/,
    ],
    [
      "logits that depend on the mask",
      () => whyNoSlotCache(signature, [], [...nodes(), mask("logits")]),
      /more of attention_mask/,
    ],
    [
      "one layer of another kind",
      () =>
        whyNoSlotCache(
          signature,
          [],
          changed(attention, ({ inputs }) => (inputs.includes("k1") ? { operator: "Concat" } : {})),
        ),
      /"past_key_values.1.key" is read by Concat/,
    ],
    [
      "a past that nobody reads",
      () =>
        whyNoSlotCache(
          signature,
          [],
          changed(attention, () => ({ inputs: [] })),
        ),
      /"past_key_values.0.key" is read by 0 operators/,
    ],
    [
      "outputs that are swapped",
      () =>
        whyNoSlotCache(
          signature,
          [],
          changed(attention, ({ outputs: [a, b, c] }) => ({ outputs: [a, c, b] as string[] })),
        ),
      /are not past and present of one operator/,
    ],
  ];
  for (const [name, why, message] of obstacles) {
    it(`is not there for ${name}`, () => assert.match(why() ?? "no obstacle", message));
  }
});
