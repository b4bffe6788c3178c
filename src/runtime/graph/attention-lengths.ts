import { create } from "@bufbuild/protobuf";
import { GraphIndex } from "./graph-index.js";
import { liveNodes, valuesReadBy } from "./live-nodes.js";
import {
  type GraphProto,
  type NodeProto,
  TensorProto_DataType,
  TensorShapeProto_DimensionSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "./onnx_pb.js";
import { decoderProbes, type SampleLengths } from "./probe/decoder-samples.js";
import { scalarOf } from "./probe/sample-tensor.js";
import { type Rewrite, type Rewritten, withFields } from "./rewrite.js";

/** What GroupQueryAttention calls them: each row's length less one, and the length of the longest. */
export const LENGTHS = "seqlens_k";
export const TOTAL_LENGTH = "total_sequence_length";
const MASK = "attention_mask";
/** Where GroupQueryAttention takes them. */
const LENGTHS_INPUT = 5;
const TOTAL_INPUT = 6;

const SAMPLES: readonly SampleLengths[] = [
  { past: 0, fed: 1 },
  { past: 0, fed: 5 },
  { past: 1, fed: 1 },
  { past: 7, fed: 1 },
  { past: 16, fed: 3 },
];

/**
 * Attention takes each row's length as an input, where the graph would count ones in a mask to find it: a number a row
 * goes in instead of one for every token that the cache has room for, which on a device crosses the bus at every step.
 */
export const feedLengths: Rewrite = (model) => {
  const leave = (why: string): Rewritten => ({
    model,
    applied: false,
    note: `Attention lengths: made of the mask as before; ${why}.`,
  });
  if (model.graph === undefined) return leave("there is no graph");
  const graph = withLengths(model.graph);
  if (typeof graph === "string") return leave(graph);
  return { model: withFields(model, { graph }), applied: true, note: "Attention lengths: fed, in place of a mask." };
};

function withLengths(graph: GraphProto): GraphProto | string {
  const index = new GraphIndex(graph);
  if (index.has(LENGTHS) || index.has(TOTAL_LENGTH)) return "it uses the names that are needed";
  const attention = new Set(graph.node.filter(({ opType }) => opType === "GroupQueryAttention"));
  if (attention.size === 0) return "there is no GroupQueryAttention";
  if (!areLengths(graph, [...attention])) return "attention may take something else";
  const node = graph.node.map((one) => (attention.has(one) ? fedLengths(one) : one));
  const live = liveNodes(withFields(graph, { node }));
  if (live.some((one) => valuesReadBy(one).includes(MASK))) return "more than attention reads the mask";
  const input = graph.input.filter(({ name }) => name !== MASK);
  return withFields(graph, {
    node: live,
    input: [...input, integers(LENGTHS, "batch_size"), integers(TOTAL_LENGTH, 1n)],
  });
}

/** Tries whether all take what the two inputs will hold. */
function areLengths(graph: GraphProto, attention: readonly NodeProto[]): boolean {
  const probeAt = decoderProbes(graph, []);
  const taken = (input: number): string[] => [...new Set(attention.map((node) => node.input[input] ?? ""))];
  const [lengths, totals] = [taken(LENGTHS_INPUT), taken(TOTAL_INPUT)];
  return SAMPLES.every((sample) => {
    const total = sample.past + sample.fed;
    const probe = probeAt(sample);
    const is = (value: number) => (name: string) => scalarOf(probe.value(name)) === value;
    return lengths.every(is(total - 1)) && totals.every(is(total));
  });
}

function fedLengths(node: NodeProto): NodeProto {
  const input = [...node.input];
  input[LENGTHS_INPUT] = LENGTHS;
  input[TOTAL_INPUT] = TOTAL_LENGTH;
  return withFields(node, { input });
}

function integers(name: string, size: string | bigint): ValueInfoProto {
  const value =
    typeof size === "string"
      ? ({ case: "dimParam", value: size } as const)
      : ({ case: "dimValue", value: size } as const);
  const dim = [create(TensorShapeProto_DimensionSchema, { value })];
  const tensor = { elemType: TensorProto_DataType.INT32, shape: { dim } };
  return create(ValueInfoProtoSchema, { name, type: { value: { case: "tensorType", value: tensor } } });
}
