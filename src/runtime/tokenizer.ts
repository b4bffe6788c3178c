/** Text to token ids and back. */
export interface Tokenizer {
  readonly vocabSize: number;
  /** Ids that end a sequence, from generation_config.json, config.json and tokenizer_config.json. */
  readonly eosTokenIds: readonly number[];
  /** A rendered chat template already holds its special tokens: pass `addSpecialTokens: false`. */
  encode(text: string, options: { readonly addSpecialTokens: boolean }): Int32Array;
  /** Text of ids, special tokens left out. */
  decode(ids: readonly number[]): string;
  /** A decoder of its own for each output. */
  stream(): StreamDecoder;
}

export interface StreamDecoder {
  /** The text that this token completes; empty while a UTF-8 character is unfinished. */
  push(id: number): string;
  /** What is left, once no token follows. */
  flush(): string;
}
