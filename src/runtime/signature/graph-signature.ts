import type { ModelConfig } from "../files/model-config.js";
import { LENGTHS, TOTAL_LENGTH } from "../graph/attention-lengths.js";
import { FIRST_LOGITS } from "../graph/first-logits.js";
import { ROTARY_POSITIONS } from "../graph/rope-tables.js";
import { type CacheTensor, isCacheInput, readCache } from "./cache-signature.js";
import {
  type FloatType,
  floatType,
  type GraphValue,
  type IdType,
  idType,
  sizeOf,
  unsupportedGraph,
} from "./graph-value.js";

export type { CacheTensor } from "./cache-signature.js";
export type { FloatType, GraphValue, IdType } from "./graph-value.js";

export interface LogitsToKeep {
  readonly name: string;
  readonly type: IdType;
  readonly rank: number;
  /** -1 where the graph takes the first of them, counted from the end (`keepLastLogits`, `beginLogits`). */
  readonly sign: 1 | -1;
}

/** What a decoder graph takes and gives, read from the graph itself. */
export interface GraphSignature {
  readonly inputIds: { readonly name: string; readonly type: IdType };
  /** Ones over past and new tokens, `[batch, past + new]`. */
  readonly attentionMask: { readonly name: string; readonly type: IdType } | undefined;
  /** In place of a mask (`feedLengths`): each row's length less one, `[batch]`, and at least the longest, `[1]`. */
  readonly lengths: { readonly rows: string; readonly total: string } | undefined;
  /** `[batch, new]`. */
  readonly positionIds: { readonly name: string; readonly type: IdType } | undefined;
  /** `[batch, new]`: rows of joined rotary tables, where the model has one for longer sequences (`joinRopeTables`). */
  readonly rotaryPositions: { readonly name: string; readonly type: IdType } | undefined;
  /** How many last positions the graph computes logits for; a scalar or `[1]`, by `rank`. */
  readonly logitsToKeep: LogitsToKeep | undefined;
  /** Of a merged decoder, `[1]`: false where there is no past, which it then does not read. */
  readonly useCacheBranch: { readonly name: string } | undefined;
  /** `[batch, positions, vocabSize]`. */
  readonly logits: { readonly name: string; readonly type: FloatType };
  readonly vocabSize: number;
  readonly cacheType: FloatType;
  readonly cache: readonly CacheTensor[];
  readonly layers: number;
}

type SignatureConfig = Pick<ModelConfig, "vocabSize" | "kvHeads" | "headDim">;

/** Inputs whose presence says what kind of model it is, and that it is none for this worker. */
const FOREIGN_INPUTS: readonly { readonly name: RegExp; readonly what: string }[] = [
  { name: /^inputs_embeds$/, what: "it takes inputs_embeds, as the decoder of a multimodal model does" },
  {
    name: /^encoder_hidden_states$/,
    what: "it takes encoder_hidden_states, as the decoder of an encoder-decoder does",
  },
  { name: /^pixel_values|^input_features$/, what: "it takes images or audio; this worker runs text models" },
  {
    name: /^(past_conv|past_ssm|past_recurrent|conv_state|ssm_state|past_state)/,
    what: "it keeps a recurrent state (Mamba, LFM2 and their like), not only keys and values",
  },
  { name: /^token_type_ids$/, what: "it takes token_type_ids, as encoders do" },
];

/**
 * Reads the signature of a decoder with past and present (the layouts of Optimum, old ones among them,
 * onnxruntime-genai's builder and onnx-community). Throws `model_unsupported`, naming what it does not know.
 */
export function readGraphSignature(
  inputs: readonly GraphValue[],
  outputs: readonly GraphValue[],
  config: SignatureConfig,
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
    private readonly config: SignatureConfig,
  ) {
    this.unread = new Map(inputs.map((value) => [value.name, value]));
    this.outputs = new Map(outputs.map((value) => [value.name, value]));
  }

  read(): GraphSignature {
    this.refuseForeign();
    const inputIds = this.takeIds("input_ids");
    if (inputIds === undefined) throw unsupportedGraph(`it has no input "input_ids" (it has ${this.inputNames()})`);
    const attentionMask = this.takeIds("attention_mask");
    const lengths = this.takeLengths();
    const positionIds = this.takeIds("position_ids");
    const rotaryPositions = this.takeIds(ROTARY_POSITIONS);
    const logitsToKeep = this.takeLogitsToKeep();
    const useCacheBranch = this.takeCacheBranch();
    const past = [...this.unread.values()].filter(isCacheInput);
    const { type: cacheType, tensors: cache, layers } = readCache(past, this.outputs, this.config);
    for (const { name } of past) this.unread.delete(name);
    if (this.unread.size > 0)
      throw unsupportedGraph(`it wants inputs that vitrine does not know: ${this.inputNames()}`);
    const inputs = { inputIds, attentionMask, lengths, positionIds, rotaryPositions, logitsToKeep, useCacheBranch };
    return { ...inputs, ...this.readLogits(), cacheType, cache, layers };
  }

  private refuseForeign(): void {
    const names = [...this.unread.keys()];
    const foreign = FOREIGN_INPUTS.find(({ name }) => names.some((input) => name.test(input)));
    if (foreign !== undefined) throw unsupportedGraph(foreign.what);
  }

  /** A `[batch, positions]` integer input, if the graph has it. */
  private takeIds(name: string): { name: string; type: IdType } | undefined {
    const value = this.take(name);
    if (value === undefined) return undefined;
    if (value.shape.length !== 2) {
      throw unsupportedGraph(`its input "${name}" has ${value.shape.length} dimensions, not 2`);
    }
    for (const dimension of value.shape.slice(1)) {
      if (typeof dimension === "number")
        throw unsupportedGraph(`its input "${name}" has a fixed length of ${dimension}`);
    }
    return { name, type: idType(value) };
  }

  private takeLengths(): GraphSignature["lengths"] {
    const [rows, total] = [this.unread.get(LENGTHS), this.unread.get(TOTAL_LENGTH)];
    if (rows?.type !== "int32" || total?.type !== "int32") return undefined;
    for (const { name } of [rows, total]) this.unread.delete(name);
    return { rows: rows.name, total: total.name };
  }

  private takeLogitsToKeep(): GraphSignature["logitsToKeep"] {
    const first = this.take(FIRST_LOGITS);
    const value = first ?? this.take("num_logits_to_keep") ?? this.take("logits_to_keep");
    return value && { name: value.name, type: idType(value), rank: value.shape.length, sign: first ? -1 : 1 };
  }

  private takeCacheBranch(): GraphSignature["useCacheBranch"] {
    const value = this.take("use_cache_branch");
    if (value === undefined) return undefined;
    if (value.type !== "bool")
      throw unsupportedGraph(`its input "${value.name}" is ${value.type ?? "no tensor"}, not bool`);
    return { name: value.name };
  }

  private readLogits(): Pick<GraphSignature, "logits" | "vocabSize"> {
    const value = this.outputs.get("logits");
    if (value === undefined) {
      throw unsupportedGraph(`it has no output "logits" (it has ${[...this.outputs.keys()].slice(0, 8).join(", ")})`);
    }
    if (value.shape.length !== 3) {
      throw unsupportedGraph(`its output "logits" has ${value.shape.length} dimensions, not 3`);
    }
    const vocabSize = sizeOf(value.shape[2], this.config.vocabSize, "logits");
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
