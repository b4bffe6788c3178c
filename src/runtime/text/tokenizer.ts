import { join } from "node:path";
import { Tokenizer as HubTokenizer } from "@huggingface/tokenizers";
import { z } from "zod";
import { VitrineError } from "../../errors.js";
import { readJson, reasonOf } from "../files/json-file.js";
import { readModelConfig } from "../files/model-config.js";
import type { ChatMessage, Tool } from "./chat-message.js";
import { type StreamDecoder, WindowDecoder } from "./stream-decoder.js";
import { type LeastTokens, leastTokensOf } from "./token-bound.js";
import { type PieceBytes, pieceBytesOf } from "./token-bytes.js";
import { readTokenizerConfig, specialToken, type TokenizerConfig } from "./tokenizer-config.js";

/** Text to token ids and back. */
export interface Tokenizer {
  readonly vocabSize: number;
  /** Ids that end a sequence, from generation_config.json, config.json and tokenizer_config.json. */
  readonly eosTokenIds: readonly number[];
  /** A rendered chat template already holds its special tokens: pass `addSpecialTokens: false`. */
  encode(text: string, options: { readonly addSpecialTokens: boolean }): Int32Array;
  /** At least how many tokens the text has, told without encoding it; 0 where nothing can be said. */
  leastTokens(text: string): number;
  /** Text of ids, special tokens left out. */
  decode(ids: readonly number[]): string;
  /** What one token is, on its own: the bytes of its text, which need not be whole characters; none for an unknown id. */
  bytesOf(id: number): Uint8Array;
  /**
   * A decoder of its own for each output. With the prompt's ids (their end is enough) the output continues that
   * text: SentencePiece-style tokenizers drop the leading space of what they take for the start of a text. Special
   * tokens whose names stand in `shown` are text, too.
   */
  stream(prompt?: ArrayLike<number>, shown?: string): StreamDecoder;
}

/** What is to be encoded: a text, or messages that the model's chat template makes one. */
export type EncodeInput =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "messages"; readonly messages: readonly ChatMessage[]; readonly tools?: readonly Tool[] };

/** Encodes long input beside the calling thread, in the order asked. */
export interface LongInputEncoder {
  /**
   * The ids of `tokenizer.encode`. Rejects with `context_length_exceeded` as soon as it is clear that there are more
   * than `mostTokens`, with `queue_full` when too many inputs wait, with `internal` when the thread dies, and with the
   * signal's reason once that aborts.
   */
  encode(input: EncodeInput, mostTokens: number, signal: AbortSignal): Promise<Int32Array>;
  close(): Promise<void>;
}

/** The refusal of a prompt that nobody has counted to its end. `mostTokens` leaves room for an answer of one. */
export function tooLong(kind: EncodeInput["kind"], mostTokens: number): VitrineError {
  const param = kind === "messages" ? "messages" : "prompt";
  return new VitrineError(
    "context_length_exceeded",
    `\`${param}\` is far longer than the ${mostTokens} tokens that fit the context beside an answer: shorten it.`,
    { param },
  );
}

const tokenizerFile = z.looseObject({
  model: z.looseObject({}),
  added_tokens: z.array(z.looseObject({ id: z.int().nonnegative(), content: z.string() })).default([]),
  normalizer: z.looseObject({}).nullish().default(null),
  pre_tokenizer: z.looseObject({}).nullish().default(null),
  post_processor: z.looseObject({}).nullish().default(null),
  decoder: z.looseObject({}).nullish().default(null),
});

/** Reads tokenizer.json and its neighbours. Throws `model_missing`, `model_invalid` or `model_unsupported`. */
export async function loadTokenizer(directory: string): Promise<Tokenizer> {
  const path = join(directory, "tokenizer.json");
  const file = readJson(path, tokenizerFile);
  const config = readTokenizerConfig(directory);
  const modelEos = readModelConfig(directory).eosTokenIds;
  let hub: HubTokenizer;
  try {
    hub = new HubTokenizer(file, config);
  } catch (cause) {
    // Where the library did not expect what it found, its words are about its own code.
    const why = cause instanceof TypeError ? "its model is incomplete" : reasonOf(cause);
    throw new VitrineError(
      "model_invalid",
      `${path} is not a tokenizer that can be loaded (${why}). Download it again, or make it with a current transformers.`,
      { cause },
    );
  }
  return new ModelTokenizer(hub, config, modelEos, leastTokensOf(file), pieceBytesOf(file));
}

class ModelTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly eosTokenIds: readonly number[];
  private readonly special: ReadonlySet<number>;
  /** Texts of the tokens that are not pieces of the model's vocabulary. */
  private readonly added: ReadonlyMap<number, string>;

  constructor(
    private readonly hub: HubTokenizer,
    config: TokenizerConfig,
    modelEos: readonly number[],
    readonly leastTokens: LeastTokens,
    private readonly pieceBytes: PieceBytes,
  ) {
    const added = [...hub.get_added_tokens_decoder()];
    this.vocabSize = hub.model?.vocab.length ?? 0;
    const eos = specialToken(config.eos_token);
    const eosId = eos === undefined ? undefined : hub.token_to_id(eos);
    this.eosTokenIds = [...new Set(eosId === undefined ? modelEos : [...modelEos, eosId])];
    this.added = new Map(added.map(([id, { content }]) => [id, content]));
    this.special = new Set(added.filter(([, token]) => token.special).map(([id]) => id));
  }

  encode(text: string, options: { readonly addSpecialTokens: boolean }): Int32Array {
    const { ids } = this.hub.encode(text, {
      add_special_tokens: options.addSpecialTokens,
    });
    // A character outside a vocabulary that has no unknown token gives no id.
    return Int32Array.from(ids.filter((id: number | undefined) => id !== undefined));
  }

  decode(ids: readonly number[]): string {
    return this.decodeText(ids.filter((id) => !this.special.has(id)));
  }

  bytesOf(id: number): Uint8Array {
    const added = this.added.get(id);
    return added === undefined ? this.pieceBytes(this.hub.id_to_token(id) ?? "") : Buffer.from(added);
  }

  stream(prompt: ArrayLike<number> = [], shown = ""): StreamDecoder {
    const skipped = shown === "" ? this.special : this.#specialBut(shown);
    return new WindowDecoder((ids) => this.decodeText(ids), skipped, prompt);
  }

  #specialBut(shown: string): ReadonlySet<number> {
    return new Set([...this.special].filter((id) => !shown.includes(this.hub.id_to_token(id) ?? "\0")));
  }

  /**
   * Never "cleans up" spaces before punctuation, whatever tokenizer_config.json says: it changes what the model
   * wrote, and what was already streamed.
   */
  private decodeText(ids: readonly number[]): string {
    const known = ids.filter((id) => this.hub.id_to_token(id) !== undefined);
    return known.length === 0 ? "" : this.hub.decode(known, { clean_up_tokenization_spaces: false });
  }
}
