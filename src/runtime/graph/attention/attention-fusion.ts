import { create } from "@bufbuild/protobuf";
import { GraphIndex } from "../graph-index.js";
import { liveNodes } from "../live-nodes.js";
import { type GraphProto, type ModelProto, OperatorSetIdProtoSchema } from "../onnx_pb.js";
import { type CachePair, cachePairs, decoderProbes, type ProbeAt } from "../probe/decoder-samples.js";
import { sampleTensor } from "../probe/sample-tensor.js";
import { type Rewrite, type Rewritten, withFields } from "../rewrite.js";
import { areAlike } from "./alike-values.js";
import { readWindow } from "./attention-mask.js";
import { attentionNodes, LENGTHS_OF_ROWS, lengthConstants, lengthNodes } from "./attention-nodes.js";
import type { FusedAttention, ScoredAttention } from "./layer-attention.js";
import { branchWithPast } from "./merged-decoder.js";
import { type PlainAttention, readPlainAttention, readScores } from "./plain-attention.js";
import { feedPositions } from "./position-input.js";

/** What config.json says of the model. */
export interface AttentionSizes {
  readonly contextLength: number;
  /** Query heads, of which the graph says nothing where all share one key head. */
  readonly heads: number | undefined;
}

interface FusionSizes extends AttentionSizes {
  /** Most tokens that the graph is made to be fed after a past. */
  readonly mostFed: number;
}

const MASK = "attention_mask";
/** The version from which the axes of ReduceSum are an input. */
const OPSET = 13n;

/**
 * Makes GroupQueryAttention of attention that is written out (Optimum's exports): it takes each row's length, so rows
 * of a batch may differ in it, and updates its cache in place. Only where that is the same: every layer's mask lets each
 * position see itself and those before it, all or a number of them, which is found out by trying. Positions that the
 * graph counts from its cache become an input, `position_ids`. What is no longer needed (the mask's arithmetic) goes.
 */
export function fuseAttention(sizes: AttentionSizes): Rewrite {
  return (model) => {
    const leave = (why: string): Rewritten => ({ model, applied: false, note: `Attention: left as it is; ${why}.` });
    if (model.graph === undefined) return leave("there is no graph");
    if (model.graph.node.some(({ opType }) => opType === "GroupQueryAttention")) return leave("it is fused already");
    const opset = model.opsetImport.find(({ domain }) => domain === "" || domain === "ai.onnx")?.version ?? 0n;
    if (opset < OPSET) return leave(`operators are those of version ${opset}`);
    const merged = branchWithPast(model.graph);
    // It was traced with one token, for which any mask is causal; the other branch is the same for a prompt.
    const fused = fuse(merged ?? model.graph, {
      ...sizes,
      mostFed: merged === undefined ? Number.POSITIVE_INFINITY : 1,
    });
    if (typeof fused === "string") return leave(fused);
    const { graph, layers } = fused;
    const branch = merged === undefined ? "" : ", of the branch with past";
    const note = `Attention: ${layers} layers made GroupQueryAttention${branch}.`;
    return { model: withFields(model, { graph, ...withContribOperators(model) }), applied: true, note };
  };
}

function withContribOperators({ opsetImport }: ModelProto): Pick<ModelProto, "opsetImport"> {
  if (opsetImport.some(({ domain }) => domain === "com.microsoft")) return { opsetImport };
  const contrib = create(OperatorSetIdProtoSchema, { domain: "com.microsoft", version: 1n });
  return { opsetImport: [...opsetImport, contrib] };
}

function fuse(graph: GraphProto, sizes: FusionSizes): { graph: GraphProto; layers: number } | string {
  const index = new GraphIndex(graph);
  if (!graph.input.some(({ name }) => name === MASK)) return `there is no ${MASK}, which tells each row's length`;
  if (index.has(LENGTHS_OF_ROWS)) return "it uses the names that are needed";
  const pairs = cachePairs(graph);
  if (pairs === undefined) return "it does not say how many heads its cache has, and how wide they are";
  if (pairs.length === 0) return "it has no past_key_values";
  const probeAt = decoderProbes(graph, pairs);
  const attentions = readAttentions(graph, index, pairs, probeAt, sizes);
  if (typeof attentions === "string") return attentions;
  const replaced = new Map(attentions.map((attention) => [attention.output, attentionNodes(attention)]));
  const dropped = new Set(attentions.flatMap(({ key, value }) => [key.concat, value.concat]));
  const kept = graph.node.filter((node) => !dropped.has(node)).flatMap((node) => replaced.get(node) ?? [node]);
  const fused = withoutShapes(
    withFields(graph, {
      node: [...lengthNodes(MASK), ...kept],
      initializer: [...graph.initializer, ...lengthConstants()],
    }),
  );
  const live = feedPositions(withFields(fused, { node: liveNodes(fused) }), probeAt);
  return typeof live === "string" ? live : { graph: live, layers: attentions.length };
}

/** All of them, or why not. */
function readAttentions(
  graph: GraphProto,
  index: GraphIndex,
  pairs: readonly CachePair[],
  probeAt: ProbeAt,
  sizes: FusionSizes,
): readonly FusedAttention[] | string {
  const unread = new Map(pairs.map((pair) => [pair.past, pair]));
  const attentions: FusedAttention[] = [];
  for (const node of graph.node) {
    const plain = readPlainAttention(node, index);
    if (plain === undefined) continue;
    if (typeof plain === "string") return plain;
    const key = unread.get(plain.key.past);
    const value = unread.get(plain.value.past);
    if (key?.present !== plain.key.present || value?.present !== plain.value.present) {
      return "attention is not over one past and its present";
    }
    const scored = readAttention(plain, key, value, probeAt, sizes.heads);
    if (typeof scored === "string") return `${scored} (${key.past})`;
    // Layers have a few masks among them; the longest sequence's takes its time.
    const twin = attentions.find((other) => isMaskedLike(scored, other, index));
    const seen = twin ?? readWindow(scored.masks, probesWith(scored, probeAt), sizes);
    if (typeof seen === "string") return `${seen} (${key.past})`;
    unread.delete(key.past);
    unread.delete(value.past);
    attentions.push({ ...scored, window: seen.window });
  }
  const [missing] = unread.keys();
  return missing === undefined ? attentions : `"${missing}" goes into no attention that is known`;
}

function readAttention(
  plain: PlainAttention,
  key: CachePair,
  value: CachePair,
  probeAt: ProbeAt,
  expectedHeads: number | undefined,
): ScoredAttention | string {
  const { heads: kvHeads, headDim, type: cacheType } = key;
  if (value.heads !== kvHeads || value.headDim !== headDim) return "its keys and values differ in size";
  const heads = readHeads(plain, key, probeAt, expectedHeads);
  if (heads === undefined) return "its heads are repeated in a way not known";
  const sized = { ...plain, heads, kvHeads, headDim, cacheType };
  const scores = readScores(plain, probesWith(sized, probeAt)({ past: 2, fed: 3 }));
  return typeof scores === "string" ? scores : { ...sized, ...scores };
}

/** Scales, and some masks, go by the shape of the queries. */
function probesWith(
  { query, heads, headDim }: Pick<ScoredAttention, "query" | "heads" | "headDim">,
  probeAt: ProbeAt,
): ProbeAt {
  return (lengths) =>
    probeAt(lengths).given([[query, sampleTensor([1, heads, lengths.fed, headDim], undefined, false)]]);
}

/** Whether two layers' masks are made alike, each of its own queries and cache. */
function isMaskedLike(one: ScoredAttention, other: ScoredAttention, index: GraphIndex): boolean {
  const own = ({ query, key, value }: ScoredAttention) => [query, key.past, key.present, value.past, value.present];
  const pairs = new Map(own(one).map((name, at) => [name, own(other)[at]]));
  const isSame = (a: string, b: string) => pairs.get(a) === b;
  const sizes = ({ heads, kvHeads, headDim }: ScoredAttention) => String([heads, kvHeads, headDim]);
  if (sizes(one) !== sizes(other) || one.masks.length !== other.masks.length) return false;
  return one.masks.every((mask, at) => {
    const match = other.masks[at];
    if (mask.kind === "bias") return match?.kind === "bias" && areAlike(mask.value, match.value, index, isSame);
    if (match?.kind !== "choice" || mask.keepWhere !== match.keepWhere) return false;
    return areAlike(mask.keep, match.keep, index, isSame) && areAlike(mask.masked, match.masked, index, isSame);
  });
}

/** Query heads: as many as keys and values are repeated for. */
function readHeads(
  { key, value }: PlainAttention,
  { heads: kvHeads, headDim }: CachePair,
  probeAt: ProbeAt,
  expected: number | undefined,
): number | undefined {
  const lengths = { past: 2, fed: 3 };
  const probe = probeAt(lengths);
  const shapes = [key, value].map(({ repeated }) => probe.value(repeated)?.shape);
  const heads = shapes[0]?.[1];
  if (heads === undefined || heads % kvHeads !== 0) return undefined;
  const wanted = String([1, heads, lengths.past + lengths.fed, headDim]);
  if (shapes.some((shape) => String(shape) !== wanted)) return undefined;
  // One head for all need not be repeated, so it does not tell.
  return heads === 1 ? expected : heads;
}

/** `value_info` of ONNX's GraphProto: shapes of values on the way, of which some are others now. */
const VALUE_INFO = 13;

function withoutShapes(graph: GraphProto): GraphProto {
  const { $unknown: unknown } = graph;
  return unknown === undefined ? graph : withFields(graph, { $unknown: unknown.filter(({ no }) => no !== VALUE_INFO) });
}
