import assert from "node:assert/strict";
import { join } from "node:path";
import type { DeviceChoice } from "../../../src/protocol.js";
import { type GraphNode, readGraphNodes } from "../../../src/runtime/graph-nodes.js";
import type { GraphSignature } from "../../../src/runtime/graph-signature.js";
import { whyNoSlotCache, whyNotNative } from "../../../src/runtime/slot-cache-support.js";
import { temporaryFolders, writeFiles } from "../../support/model-fixture.js";
import { buildDecoder } from "../../support/onnx-builder.js";

const folder = temporaryFolders();

function read(content: Uint8Array): GraphNode[] {
  return readGraphNodes(join(writeFiles(folder(), { "model.onnx": content }), "model.onnx"));
}

describe("graph nodes", () => {
  it("are read with operator, domain, inputs and outputs, in order", () => {
    const nodes = read(buildDecoder().graph);
    assert.deepEqual(nodes[0], { operator: "Gather", domain: "", inputs: ["embed", "input_ids"], outputs: ["x0"] });
    const attention = nodes.filter(({ operator }) => operator === "GroupQueryAttention");
    assert.equal(attention.length, 2);
    assert.equal(attention[1]?.domain, "com.microsoft");
    assert.deepEqual(attention[1]?.inputs.slice(3, 5), ["past_key_values.1.key", "past_key_values.1.value"]);
    assert.deepEqual(attention[1]?.outputs.slice(1), ["present.1.key", "present.1.value"]);
    assert.equal(nodes.at(-1)?.outputs[0], "logits");
  });

  it("are found behind weights that are larger than the reader's window", () => {
    const { graph } = buildDecoder({ vocab: 8192 });
    assert.ok(graph.length > 1 << 18);
    // Tensors may stand before nodes: the same graph, the fields of both in the other order.
    assert.deepEqual(read(graph), read(buildDecoder().graph));
  });

  it("of what is no model are an error that names the file", () => {
    const { graph } = buildDecoder();
    for (const content of [
      new Uint8Array(200).fill(0xff),
      graph.subarray(0, graph.length - 10),
      Buffer.from("text\n"),
    ]) {
      assert.throws(() => read(content), {
        code: "model_invalid",
        message: /model\.onnx cannot be loaded; it may be truncated/,
      });
    }
  });
});

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
    positionIds: undefined,
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

  it("is there for GroupQueryAttention with past and present", () => {
    assert.equal(whyNotNative(nodes(), cpu), undefined);
    assert.equal(whyNoSlotCache(signature, [], nodes()), undefined);
    assert.equal(whyNoSlotCache(signature, [], [mask("unused"), ...nodes()]), undefined);
  });

  const attention = "GroupQueryAttention";
  const obstacles: [string, () => string | undefined, RegExp][] = [
    [
      "CUDA, unless asked for by name",
      () => whyNotNative(nodes(), { ...cpu, provider: "cuda" }),
      /on CUDA it is not proved yet/,
    ],
    [
      "plain attention",
      () =>
        whyNotNative(
          changed(attention, () => ({ operator: "Concat" })),
          cpu,
        ),
      /no GroupQuery/,
    ],
    [
      "another domain",
      () =>
        whyNotNative(
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
