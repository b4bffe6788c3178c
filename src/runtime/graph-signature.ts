import { VitrineError } from "../errors.js";
import type { ModelConfig } from "./model-config.js";

/** One input or output of a graph. A dimension is a number, or the name of a symbolic one. */
export interface GraphValue {
  readonly name: string;
  /** Element type as ONNX Runtime for JavaScript names it, e.g. `float16`; undefined when it is no tensor. */
  readonly type: string | undefined;
  readonly shape: readonly (number | string)[];
}

export type IdType = "int64" | "int32";
export type FloatType = "float32" | "float16";

/** One layer's key or value cache: `[batch, heads, positions, headDim]`. */
export interface CacheTensor {
  readonly past: string;
  readonly present: string;
  readonly heads: number;
  readonly headDim: number;
}

/** What a decoder graph takes and gives, read from the graph itself. */
export interface GraphSignature {
  readonly inputIds: { readonly name: string; readonly type: IdType };
  /** Ones over past and new tokens, `[batch, past + new]`. */
  readonly attentionMask: { readonly name: string; readonly type: IdType } | undefined;
  /** `[batch, new]`. */
  readonly positionIds: { readonly name: string; readonly type: IdType } | undefined;
  /** How many last positions the graph computes logits for; a scalar or `[1]`, by `rank`. */
  readonly logitsToKeep: { readonly name: string; readonly type: IdType; readonly rank: number } | undefined;
  /** `[batch, positions, vocabSize]`. */
  readonly logits: { readonly name: string; readonly type: FloatType };
  readonly vocabSize: number;
  readonly cacheType: FloatType;
  /** Keys and values of all layers; layers may differ in heads and width. */
  readonly cache: readonly CacheTensor[];
  readonly layers: number;
}

const CACHE_INPUT = /^past_key_values\.(\d+)\.(key|value)$/;

/**
 * Reads the signature of a decoder with past and present (the layout of Optimum, onnxruntime-genai's builder and
 * onnx-community). Throws `model_unsupported`, naming what it does not know.
 */
export function readGraphSignature(
  inputs: readonly GraphValue[],
  outputs: readonly GraphValue[],
  config: Pick<ModelConfig, "vocabSize" | "kvHeads" | "headDim">,
): GraphSignature {
  const reader = new SignatureReader(inputs, outputs, config);
  return reader.read();
}

class SignatureReader {
  private readonly unread: Map<string, GraphValue>;
  private readonly outputs: ReadonlyMap<string, GraphValue>;

  constructor(
    inputs: readonly GraphValue[],
    outputs: readonly GraphValue[],
    private readonly config: Pick<ModelConfig, "vocabSize" | "kvHeads" | "headDim">,
  ) {
    this.unread = new Map(inputs.map((value) => [value.name, value]));
    this.outputs = new Map(outputs.map((value) => [value.name, value]));
  }

  read(): GraphSignature {
    const inputIds = this.takeIds("input_ids");
    if (inputIds === undefined) throw unsupported(`it has no input "input_ids" (it has ${this.inputNames()})`);
    const attentionMask = this.takeIds("attention_mask");
    const positionIds = this.takeIds("position_ids");
    const logitsToKeep = this.takeLogitsToKeep();
    const { cache, cacheType } = this.takeCache();
    if (this.unread.size > 0) throw unsupported(`it wants inputs that vitrine does not know: ${this.inputNames()}`);
    const { logits, vocabSize } = this.readLogits();
    const layers = cache.length / 2;
    return { inputIds, attentionMask, positionIds, logitsToKeep, logits, vocabSize, cacheType, cache, layers };
  }

  /** A `[batch, positions]` integer input, if the graph has it. */
  private takeIds(name: string): { name: string; type: IdType } | undefined {
    const value = this.take(name);
    if (value === undefined) return undefined;
    if (value.shape.length !== 2) throw unsupported(`its input "${name}" has ${value.shape.length} dimensions, not 2`);
    for (const dimension of value.shape.slice(1)) {
      if (typeof dimension === "number") throw unsupported(`its input "${name}" has a fixed length of ${dimension}`);
    }
    return { name, type: idType(value) };
  }

  private takeLogitsToKeep(): GraphSignature["logitsToKeep"] {
    const value = this.take("num_logits_to_keep") ?? this.take("logits_to_keep");
    return value && { name: value.name, type: idType(value), rank: value.shape.length };
  }

  private takeCache(): { cache: CacheTensor[]; cacheType: FloatType } {
    const past = [...this.unread.values()].filter((value) => CACHE_INPUT.test(value.name));
    const [first] = past;
    if (first === undefined) {
      throw unsupported(
        "it has no past_key_values.N.key and .value; export it with a KV cache (text-generation-with-past)",
      );
    }
    const cacheType = floatType(first);
    const cache = past.map((value) => {
      if (value.type !== cacheType) throw unsupported(`its KV cache mixes ${cacheType} and ${value.type}`);
      this.unread.delete(value.name);
      return this.cacheTensor(value);
    });
    this.checkPairs(past);
    return { cache, cacheType };
  }

  private cacheTensor(value: GraphValue): CacheTensor {
    const [, heads, positions, headDim, ...more] = value.shape;
    if (headDim === undefined || more.length > 0 || typeof positions === "number") {
      throw unsupported(
        `its input "${value.name}" has the shape [${value.shape.join(", ")}], not [batch, heads, past, dim]`,
      );
    }
    const present = value.name.replace("past_key_values.", "present.");
    const output = this.outputs.get(present);
    if (output === undefined) throw unsupported(`it has no output "${present}"`);
    if (output.type !== value.type)
      throw unsupported(`its output "${present}" is ${output.type}, its input ${value.type}`);
    return {
      past: value.name,
      present,
      heads: this.dimension(heads, this.config.kvHeads, value.name),
      headDim: this.dimension(headDim, this.config.headDim, value.name),
    };
  }

  private checkPairs(past: readonly GraphValue[]): void {
    const names = new Set(past.map((value) => value.name));
    for (const name of names) {
      const other = name.endsWith(".key") ? name.replace(/key$/, "value") : name.replace(/value$/, "key");
      if (!names.has(other)) throw unsupported(`it has an input "${name}" and no "${other}"`);
    }
  }

  /** What the graph leaves open, the configuration has to say. */
  private dimension(inGraph: number | string | undefined, inConfig: number | undefined, name: string): number {
    const value = typeof inGraph === "number" ? inGraph : inConfig;
    if (value !== undefined) return value;
    throw unsupported(`neither the graph nor config.json gives the size of "${name}"`);
  }

  private readLogits(): { logits: GraphSignature["logits"]; vocabSize: number } {
    const value = this.outputs.get("logits");
    if (value === undefined) {
      throw unsupported(`it has no output "logits" (it has ${[...this.outputs.keys()].slice(0, 8).join(", ")})`);
    }
    if (value.shape.length !== 3) throw unsupported(`its output "logits" has ${value.shape.length} dimensions, not 3`);
    const vocabSize = this.dimension(value.shape[2], this.config.vocabSize, "logits");
    return { logits: { name: value.name, type: floatType(value) }, vocabSize };
  }

  private take(name: string): GraphValue | undefined {
    const value = this.unread.get(name);
    this.unread.delete(name);
    return value;
  }

  private inputNames(): string {
    const names = [...this.unread.keys()];
    return names.slice(0, 8).join(", ") + (names.length > 8 ? ", …" : "");
  }
}

function idType(value: GraphValue): IdType {
  if (value.type === "int64" || value.type === "int32") return value.type;
  throw unsupported(`its input "${value.name}" is ${value.type ?? "no tensor"}, not int64 or int32`);
}

function floatType(value: GraphValue): FloatType {
  if (value.type === "float32" || value.type === "float16") return value.type;
  throw unsupported(`its "${value.name}" is ${value.type ?? "no tensor"}, not float32 or float16`);
}

function unsupported(what: string): VitrineError {
  return new VitrineError("model_unsupported", `The graph is no decoder that vitrine can run: ${what}.`);
}
