import { create } from "@bufbuild/protobuf";
import { liveNodes, valuesReadBy } from "../live-nodes.js";
import {
  type GraphProto,
  type NodeProto,
  TensorProto_DataType,
  TensorShapeProto_DimensionSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "../onnx_pb.js";
import type { ProbeAt, SampleLengths } from "../probe/decoder-samples.js";
import { withFields } from "../rewrite.js";

const POSITIONS = "position_ids";
const LENGTHS: readonly SampleLengths[] = [
  { past: 0, fed: 1 },
  { past: 0, fed: 4 },
  { past: 5, fed: 1 },
  { past: 3, fed: 2 },
];

/**
 * Takes positions from the input `position_ids`, which it adds, where the graph counts them from the width of the cache
 * or of the mask: for rows of different lengths that is none. A text where the graph needs these widths for more.
 */
export function feedPositions(graph: GraphProto, probeAt: ProbeAt): GraphProto | string {
  const counted = new Set(dependents(graph).filter((name) => isPositions(name, probeAt)));
  if (counted.size === 0) return check(graph);
  const node = graph.node.map((one) => {
    if (!one.input.some((name) => counted.has(name))) return one;
    return withFields(one, { input: one.input.map((name) => (counted.has(name) ? POSITIONS : name)) });
  });
  const there = graph.input.some(({ name }) => name === POSITIONS);
  const fed = withFields(graph, { node, input: there ? graph.input : [...graph.input, positionsInput()] });
  return check(withFields(fed, { node: liveNodes(fed) }));
}

function check(graph: GraphProto): GraphProto | string {
  const [left] = dependents(graph);
  const node = graph.node.find(({ output }) => left !== undefined && output.includes(left));
  return node === undefined ? graph : `its ${node.opType} goes by the width of the cache`;
}

const isAttention = ({ opType }: NodeProto): boolean => opType === "GroupQueryAttention";

/** What comes of mask and cache, but for attention and the lengths it takes; in the graph's order. */
function dependents(graph: GraphProto): string[] {
  const sources = graph.input
    .map(({ name }) => name)
    .filter((name) => /^(attention_mask|past_key_values\.)/.test(name));
  const presents = graph.node.filter(isAttention).flatMap(({ output }) => output.slice(1));
  const derived = new Set([...sources, ...presents]);
  const lengths = attentionLengths(graph);
  const found: string[] = [];
  for (const node of graph.node) {
    if (isAttention(node) || lengths.has(node) || !valuesReadBy(node).some((name) => derived.has(name))) continue;
    for (const output of node.output) derived.add(output);
    found.push(...node.output);
  }
  return found;
}

/** What only leads to the lengths that attention takes. */
function attentionLengths(graph: GraphProto): Set<NodeProto> {
  const withoutLengths = graph.node.map((node) =>
    isAttention(node) ? withFields(node, { input: node.input.slice(0, 5) }) : node,
  );
  const others = new Set(liveNodes(withFields(graph, { node: withoutLengths })));
  return new Set(graph.node.filter((node) => !others.has(node)));
}

function isPositions(name: string, probeAt: ProbeAt): boolean {
  return LENGTHS.every((lengths) => {
    const value = probeAt(lengths).value(name);
    if (value?.data === undefined || !value.integer || String(value.shape) !== String([1, lengths.fed])) return false;
    return Array.from(value.data).every((position, at) => position === lengths.past + at);
  });
}

function positionsInput(): ValueInfoProto {
  const dim = ["batch_size", "sequence_length"].map((value) =>
    create(TensorShapeProto_DimensionSchema, { value: { case: "dimParam", value } }),
  );
  const value = { elemType: TensorProto_DataType.INT64, shape: { dim } };
  return create(ValueInfoProtoSchema, { name: POSITIONS, type: { value: { case: "tensorType", value } } });
}
