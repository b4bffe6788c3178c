import { join } from "node:path";
import { z } from "zod";
import { VitrineError } from "../../errors.js";
import { readJson, readOptionalJson } from "./json-file.js";

const count = z.int().positive();
const tokenIds = z.union([z.int().nonnegative(), z.array(z.int().nonnegative())]).nullish();

/** LongRoPE in files of the hub is `longrope`, and `su` in older ones. */
const ropeScaling = z.looseObject({
  type: z.unknown().optional(),
  rope_type: z.unknown().optional(),
  original_max_position_embeddings: count.nullish(),
});

/** The names that config.json files of the hub use; older architectures (GPT-2, Bloom, MPT) have names of their own. */
const textConfig = z.looseObject({
  vocab_size: count.nullish(),
  max_position_embeddings: count.nullish(),
  n_positions: count.nullish(),
  n_ctx: count.nullish(),
  max_seq_len: count.nullish(),
  seq_length: count.nullish(),
  hidden_size: count.nullish(),
  n_embd: count.nullish(),
  num_attention_heads: count.nullish(),
  n_head: count.nullish(),
  num_key_value_heads: count.nullish(),
  multi_query: z.boolean().nullish(),
  num_hidden_layers: count.nullish(),
  n_layer: count.nullish(),
  head_dim: count.nullish(),
  eos_token_id: tokenIds,
  original_max_position_embeddings: count.nullish(),
  rope_scaling: ropeScaling.nullish(),
  // What newer files call it.
  rope_parameters: ropeScaling.nullish(),
});

const configFile = textConfig.extend({
  model_type: z.string().nullish(),
  is_encoder_decoder: z.boolean().nullish(),
  // Multimodal models keep the decoder's numbers one level down.
  text_config: textConfig.nullish(),
});

const generationConfigFile = z.looseObject({ eos_token_id: tokenIds });

/** What the runtime needs to know from config.json and generation_config.json; the graph decides the rest. */
export interface ModelConfig {
  /** e.g. `llama`; `unknown` where the file does not say. */
  readonly architecture: string;
  /** Most positions of one sequence. */
  readonly contextLength: number;
  readonly vocabSize: number | undefined;
  /** LongRoPE: tokens up to which a sequence has the short rotary factors; undefined where they never change. */
  readonly ropeSwitch: number | undefined;
  /** Query heads. */
  readonly heads: number | undefined;
  readonly layers: number | undefined;
  readonly kvHeads: number | undefined;
  readonly headDim: number | undefined;
  /** Ids that end a sequence, from both files, without repeats. */
  readonly eosTokenIds: readonly number[];
}

/** Reads both files of a directory. Throws `model_missing`, `model_invalid` or `model_unsupported`. */
export function readModelConfig(directory: string): ModelConfig {
  const path = join(directory, "config.json");
  const file = readJson(path, configFile);
  const architecture = file.model_type ?? "unknown";
  if (file.is_encoder_decoder) {
    throw new VitrineError(
      "model_unsupported",
      `${path}: ${architecture} is an encoder-decoder; this worker runs decoder-only text models.`,
    );
  }
  const text = { ...file, ...defined(file.text_config ?? {}) };
  const contextLength =
    text.max_position_embeddings ?? text.n_positions ?? text.n_ctx ?? text.max_seq_len ?? text.seq_length;
  if (contextLength == null) {
    throw new VitrineError(
      "model_unsupported",
      `${path} gives no context length (max_position_embeddings), so this is not a text decoder, or the file is incomplete.`,
    );
  }
  const heads = text.num_attention_heads ?? text.n_head ?? undefined;
  const width = text.hidden_size ?? text.n_embd ?? undefined;
  return {
    architecture,
    contextLength,
    ropeSwitch: readRopeSwitch(text, contextLength),
    vocabSize: text.vocab_size ?? undefined,
    heads,
    layers: text.num_hidden_layers ?? text.n_layer ?? undefined,
    kvHeads: text.num_key_value_heads ?? (text.multi_query ? 1 : heads),
    headDim: text.head_dim ?? (width !== undefined && heads !== undefined ? Math.floor(width / heads) : undefined),
    eosTokenIds: [...new Set([...readGenerationEos(directory), ...asList(text.eos_token_id)])],
  };
}

/** As transformers does: without the length that the model was first trained for, it is the context, and never passed. */
function readRopeSwitch(text: z.infer<typeof textConfig>, contextLength: number): number | undefined {
  const rope = text.rope_scaling ?? text.rope_parameters;
  const type = rope?.rope_type ?? rope?.type;
  if (type !== "longrope" && type !== "su") return undefined;
  const length = text.original_max_position_embeddings ?? rope?.original_max_position_embeddings ?? contextLength;
  return length < contextLength ? length : undefined;
}

function readGenerationEos(directory: string): number[] {
  return asList(readOptionalJson(join(directory, "generation_config.json"), generationConfigFile)?.eos_token_id);
}

function asList(ids: number | number[] | null | undefined): number[] {
  if (ids == null) return [];
  return Array.isArray(ids) ? ids : [ids];
}

function defined<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field != null)) as Partial<T>;
}
