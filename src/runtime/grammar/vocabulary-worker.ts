/** Entry of the thread that makes a vocabulary's trie: a second of work that no stream has to wait for. */
import { parentPort, workerData } from "node:worker_threads";
import { VitrineError, type WireError } from "../../errors.js";
import { GrammarLanguages } from "./grammar-language.js";
import { countItems, type ItemCounts } from "./item-counts.js";
import { buildTokenTrie, type TokenTrie } from "./token-trie.js";
import { readVocabulary } from "./vocabulary.js";

export interface VocabularySetup {
  /** The model's. */
  readonly directory: string;
}

/** A vocabulary as arrays, which go from thread to thread without being copied. */
export interface VocabularyTables {
  readonly trie: TokenTrie;
  /** All tokens' bytes, one after the other; those of token `i` begin at `starts[i]` and end at `starts[i + 1]`. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly starts: Int32Array<ArrayBuffer>;
  readonly special: readonly string[];
  /** `GrammarLanguages.characters`, counted: the walks through the whole trie that nearly every schema needs. */
  readonly characters: readonly (ItemCounts | undefined)[];
}

export type VocabularyResult =
  | { readonly kind: "tables"; readonly tables: VocabularyTables }
  | { readonly kind: "failed"; readonly error: WireError };

export function vocabularyTables(directory: string): VocabularyTables {
  const { tokens, special } = readVocabulary(directory);
  const starts = new Int32Array(tokens.length + 1);
  for (let id = 0; id < tokens.length; id++) starts[id + 1] = (starts[id] as number) + (tokens[id]?.length ?? 0);
  const bytes = new Uint8Array(starts[tokens.length] ?? 0);
  for (let id = 0; id < tokens.length; id++) bytes.set(tokens[id] ?? [], starts[id]);
  const trie = buildTokenTrie(tokens);
  const languages = new GrammarLanguages();
  const characters = languages.characters.map((item) => countItems(languages.derivatives, trie, item));
  return { trie, bytes, starts, special, characters };
}

function result(directory: string): VocabularyResult {
  try {
    return { kind: "tables", tables: vocabularyTables(directory) };
  } catch (thrown) {
    return { kind: "failed", error: VitrineError.from(thrown, "model_invalid").toWire() };
  }
}

if (parentPort !== null) {
  const made = result((workerData as VocabularySetup).directory);
  parentPort.postMessage(made, made.kind === "tables" ? buffersOf(made.tables) : []);
}

function buffersOf({ trie, bytes, starts, characters }: VocabularyTables): ArrayBuffer[] {
  const arrays = [
    ...Object.values(trie),
    bytes,
    starts,
    ...characters.flatMap((counts) => Object.values(counts ?? {})),
  ];
  return arrays.flatMap((array: unknown) => (ArrayBuffer.isView(array) ? [array.buffer as ArrayBuffer] : []));
}
