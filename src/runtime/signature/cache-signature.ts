import type { ModelConfig } from "../files/model-config.js";
import { type FloatType, floatType, type GraphValue, sizeOf, unsupportedGraph } from "./graph-value.js";

/** One layer's keys or values: `[batch, heads, positions, headDim]` in all but old graphs. */
export interface CacheTensor {
  readonly past: string;
  readonly present: string;
  readonly heads: number;
  readonly headDim: number;
  /** Dimensions of one sequence's past before there is any: one of them is 0. */
  readonly empty: readonly number[];
}

export interface CacheSignature {
  readonly type: FloatType;
  /** Keys and values of all layers; layers may differ in heads and width. */
  readonly tensors: readonly CacheTensor[];
  readonly layers: number;
}

type CacheSizes = Pick<ModelConfig, "kvHeads" | "headDim">;

/**
 * Names of the past, by exporter: Optimum, onnxruntime-genai and onnx-community (`key_value` holds both, in
 * multi-query models), and ONNX Runtime's own GPT-2 converter.
 */
const PAST_NAMES: readonly { readonly past: RegExp; readonly present: string }[] = [
  { past: /^past_key_values\.(\d+)\.(key|value|key_value)$/, present: "present.$1.$2" },
  { past: /^past_(\d+)$/, present: "present_$1" },
];

export function isCacheInput({ name }: Pick<GraphValue, "name">): boolean {
  return PAST_NAMES.some(({ past }) => past.test(name));
}

/** Reads the cache that a graph's inputs and outputs make up. Throws `model_unsupported`. */
export function readCache(
  past: readonly GraphValue[],
  outputs: ReadonlyMap<string, GraphValue>,
  config: CacheSizes,
): CacheSignature {
  const [first] = past;
  if (first === undefined) {
    throw unsupportedGraph(
      "it has no past_key_values.N.key and .value; export it with a KV cache (text-generation-with-past)",
    );
  }
  const type = floatType(first);
  const tensors = past.map((value) => {
    if (value.type !== type) throw unsupportedGraph(`its KV cache mixes ${type} and ${value.type}`);
    return cacheTensor(value, outputs, config);
  });
  checkPairs(past);
  return { type, tensors, layers: new Set(past.map(({ name }) => /\d+/.exec(name)?.[0])).size };
}

function cacheTensor(value: GraphValue, outputs: ReadonlyMap<string, GraphValue>, config: CacheSizes): CacheTensor {
  const present = presentName(value.name);
  const output = outputs.get(present);
  if (output === undefined) throw unsupportedGraph(`it has no output "${present}"`);
  if (output.type !== value.type) {
    throw unsupportedGraph(`its output "${present}" is ${output.type}, its input ${value.type}`);
  }
  return { past: value.name, present, ...sizes(value, config) };
}

function presentName(past: string): string {
  const names = PAST_NAMES.find((candidate) => candidate.past.test(past));
  return names === undefined ? past : past.replace(names.past, names.present);
}

function sizes(value: GraphValue, config: CacheSizes): Pick<CacheTensor, "heads" | "headDim" | "empty"> {
  const [, inGraph, positions, width] = value.shape;
  if (value.shape.length !== 4) return oldSizes(value, config);
  if (typeof positions === "number") throw unknownShape(value);
  const heads = sizeOf(inGraph, config.kvHeads, value.name);
  const headDim = sizeOf(width, config.headDim, value.name);
  return { heads, headDim, empty: [1, heads, 0, headDim] };
}

/**
 * Old layouts: `[batch, positions, 2 * headDim]` (GPT-BigCode), `[batch x heads, headDim, positions]` and
 * `[batch x heads, positions, headDim]` (Bloom), `[2, batch, heads, positions, headDim]` (ONNX Runtime's GPT-2).
 * The batch is called one; of the other dimensions only the positions are open.
 */
function oldSizes(value: GraphValue, config: CacheSizes): Pick<CacheTensor, "heads" | "headDim" | "empty"> {
  const empty = value.shape.map((dimension) => {
    if (typeof dimension === "number") return dimension;
    if (!/batch/i.test(dimension)) return 0;
    return /head/i.test(dimension) ? sizeOf(undefined, config.kvHeads, value.name) : 1;
  });
  const wellKnown = empty.length === 3 || (empty.length === 5 && empty[0] === 2);
  if (!wellKnown || empty.filter((size) => size === 0).length !== 1) throw unknownShape(value);
  const elements = empty.filter((size) => size !== 0).reduce((product, size) => product * size, 1);
  return { heads: 1, headDim: elements, empty };
}

function unknownShape({ name, shape }: GraphValue): Error {
  return unsupportedGraph(`its input "${name}" has the shape [${shape.join(", ")}], not [batch, heads, past, dim]`);
}

function checkPairs(past: readonly GraphValue[]): void {
  const names = new Set(past.map((value) => value.name));
  for (const name of names) {
    const other = name.replace(/\.(key|value)$/, (_, kind) => (kind === "key" ? ".value" : ".key"));
    if (!names.has(other)) throw unsupportedGraph(`it has an input "${name}" and no "${other}"`);
  }
}
