import type { DeviceChoice } from "../protocol.js";
import type { GraphNode } from "./graph-nodes.js";
import type { GraphSignature, GraphValue } from "./graph-signature.js";

const PAST_INPUTS = [3, 4];

/**
 * Why the graph's KV cache cannot be updated in place, in words that follow "because"; undefined where it can.
 * GroupQueryAttention of ONNX Runtime can, when past and present are the same memory: it takes each row's length from
 * the attention mask and writes the new keys and values after it.
 */
export function whyNoSlotCache(
  signature: GraphSignature,
  inputs: readonly GraphValue[],
  nodes: readonly GraphNode[],
  device: DeviceChoice,
): string | undefined {
  if (device.provider !== "cpu") return `it has no ${device.provider} support yet`;
  if (signature.attentionMask === undefined) return "the graph has no attention_mask, which tells each row's length";
  const fixed = inputs.find(({ shape }) => shape.length > 1 && typeof shape[0] === "number");
  if (fixed !== undefined) return `the graph's batch is fixed: "${fixed.name}" is [${fixed.shape.join(", ")}]`;
  for (const { past, present } of signature.cache) {
    const readers = nodes.filter((node) => node.inputs.includes(past));
    const [attention] = readers;
    if (attention === undefined || readers.length > 1) return `"${past}" is read by ${readers.length} operators`;
    if (attention.operator !== "GroupQueryAttention" || attention.domain !== "com.microsoft") {
      return `"${past}" is read by ${attention.operator}; only GroupQueryAttention updates its cache in place`;
    }
    const index = attention.inputs.indexOf(past);
    if (!PAST_INPUTS.includes(index) || attention.outputs[index - 2] !== present) {
      return `"${past}" and "${present}" are not past and present of one operator`;
    }
  }
  return undefined;
}
