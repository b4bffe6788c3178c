import type { GraphProto, TensorProto_DataType, ValueInfoProto } from "../onnx_pb.js";
import { GraphProbe } from "./graph-probe.js";
import { type SampleTensor, sampleTensor } from "./sample-tensor.js";

/** Lengths that a graph is tried with. */
export interface SampleLengths {
  /** Tokens in the cache. */
  readonly past: number;
  /** Tokens that are fed. */
  readonly fed: number;
}

export type ProbeAt = (lengths: SampleLengths) => GraphProbe;

/** Past and present of one layer's keys or values, as wide as the graph says. */
export interface CachePair {
  readonly past: string;
  readonly present: string;
  readonly heads: number;
  readonly headDim: number;
  /** ONNX's number of it. */
  readonly type: TensorProto_DataType;
}

const PAST = /^past_key_values\.(\d+)\.(key|value)$/;

/** The caches of a decoder; undefined where one has dimensions that are not known. */
export function cachePairs(graph: GraphProto): CachePair[] | undefined {
  const pairs: CachePair[] = [];
  for (const { name, type } of graph.input) {
    if (!PAST.test(name)) continue;
    const tensor = type?.value.case === "tensorType" ? type.value.value : undefined;
    const dimensions = tensor?.shape?.dim;
    const [, heads, , headDim] = (dimensions ?? []).map(({ value }) =>
      value.case === "dimValue" ? Number(value.value) : undefined,
    );
    if (tensor === undefined || dimensions?.length !== 4 || heads === undefined || headDim === undefined)
      return undefined;
    pairs.push({ past: name, present: name.replace(PAST, "present.$1.$2"), heads, headDim, type: tensor.elemType });
  }
  return pairs;
}

/** A decoder with one sequence whose tokens all count: masks are ones, positions are those of the tokens. */
export function decoderProbes(graph: GraphProto, pairs: readonly CachePair[]): ProbeAt {
  const empty = GraphProbe.of(graph);
  const probes = new Map<string, GraphProbe>();
  return ({ past, fed }) => {
    const key = `${past}+${fed}`;
    const known = probes.get(key) ?? empty.given(examples(graph.input, pairs, { past, fed }));
    probes.set(key, known);
    return known;
  };
}

function examples(
  inputs: readonly ValueInfoProto[],
  pairs: readonly CachePair[],
  { past, fed }: SampleLengths,
): Map<string, SampleTensor> {
  const total = past + fed;
  const known: Record<string, SampleTensor> = {
    input_ids: sampleTensor([1, fed], undefined),
    attention_mask: sampleTensor([1, total], new Uint8Array(total).fill(1)),
    position_ids: sampleTensor(
      [1, fed],
      Array.from({ length: fed }, (_, at) => past + at),
    ),
  };
  const examples = new Map<string, SampleTensor>();
  for (const { name } of inputs) if (known[name] !== undefined) examples.set(name, known[name]);
  for (const pair of pairs) {
    examples.set(pair.past, sampleTensor([1, pair.heads, past, pair.headDim], undefined, false));
    examples.set(pair.present, sampleTensor([1, pair.heads, total, pair.headDim], undefined, false));
  }
  return examples;
}
