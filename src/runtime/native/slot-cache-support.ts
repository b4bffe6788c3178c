import type { DeviceChoice } from "../../protocol.js";
import type { GraphNode, PreparedGraph } from "../graph/prepare-graph.js";
import type { GraphSignature, GraphValue } from "../signature/graph-signature.js";

/** Where GroupQueryAttention takes past keys and values, and gives present ones. */
const PAST_INPUTS = [3, 4];
const PRESENT_OUTPUTS = [1, 2];
/** Where it takes each row's length, and the length of the longest. */
const LENGTH_INPUTS = [5, 6];

const isSharing = ({ operator, domain }: GraphNode): boolean =>
  operator === "GroupQueryAttention" && domain === "com.microsoft";

/** One scale for all activations of a run, of whichever tokens and sequences they are. */
const isCoupling = ({ operator }: GraphNode): boolean => operator.startsWith("DynamicQuantize");

/** What stands in the way of the native runtime before the graph is loaded; undefined where nothing does. */
export function whyNotNative(
  { nodes, fusion }: Pick<PreparedGraph, "nodes" | "fusion">,
  device: DeviceChoice,
): string | undefined {
  const coupled = device.provider === "cpu" ? undefined : nodes.find(isCoupling);
  if (coupled !== undefined) {
    return `${coupled.operator} rounds all tokens of a run alike, so what a text gets depends on what runs with it, and nothing is proved on a device`;
  }
  if (nodes.some(isSharing)) return undefined;
  const why = fusion === undefined ? "" : ` (${fusion.replace(/\.$/, "")})`;
  return `the graph has no GroupQueryAttention, which updates its KV cache in place${why}`;
}

/**
 * Why the graph's KV cache cannot be updated in place; undefined where it can. GroupQueryAttention of ONNX Runtime can,
 * when past and present are the same memory: it takes each row's length from the attention mask and writes the new keys
 * and values after it.
 */
export function whyNoSlotCache(
  signature: GraphSignature,
  inputs: readonly GraphValue[],
  nodes: readonly GraphNode[],
): string | undefined {
  if (signature.useCacheBranch !== undefined)
    return "the graph is a merged decoder, with a branch of its own for no past";
  const { attentionMask: mask, lengths } = signature;
  if (mask === undefined && lengths === undefined) {
    return "the graph has no attention_mask, which tells each row's length";
  }
  const fixed = inputs.find(({ shape }) => shape.length > 1 && typeof shape[0] === "number");
  if (fixed !== undefined) return `the graph's batch is fixed: "${fixed.name}" is [${fixed.shape.join(", ")}]`;
  for (const { past, present } of signature.cache) {
    const readers = nodes.filter((node) => node.inputs.includes(past));
    const [attention] = readers;
    if (attention === undefined || readers.length > 1) return `"${past}" is read by ${readers.length} operators`;
    if (!isSharing(attention)) return `"${past}" is read by ${attention.operator}, not by GroupQueryAttention`;
    const index = PAST_INPUTS.indexOf(attention.inputs.indexOf(past));
    if (index < 0 || attention.outputs[PRESENT_OUTPUTS[index] as number] !== present) {
      return `"${past}" and "${present}" are not past and present of one operator`;
    }
  }
  if (mask !== undefined && readsMaskBeyondLengths(mask.name, signature.logits.name, nodes)) {
    return "the graph makes more of attention_mask than each row's length";
  }
  return undefined;
}

/**
 * The mask is as wide as the cache, not as the sequences. That is no matter where it ends in GroupQueryAttention's
 * lengths alone; a graph that makes positions, biases or a choice of rotary tables of it would compute something else.
 */
function readsMaskBeyondLengths(mask: string, logits: string, nodes: readonly GraphNode[]): boolean {
  const derived = new Set([mask]);
  // Nodes stand in the order they are computed in, so one pass sees every consequence.
  for (const node of nodes) {
    const reads = [...node.inputs.keys()].filter((index) => derived.has(node.inputs[index] as string));
    if (reads.length === 0) continue;
    if (!isSharing(node)) for (const output of node.outputs) derived.add(output);
    else if (reads.some((index) => !LENGTH_INPUTS.includes(index))) return true;
  }
  return derived.has(logits);
}
