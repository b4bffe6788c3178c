import { join } from "node:path";
import { z } from "zod";
import { VitrineError } from "../../errors.js";
import { readJson } from "../files/json-file.js";
import { pieceBytesOf } from "../text/token-bytes.js";
import { specialBytes } from "./special-bytes.js";

/** What each token of a tokenizer writes. */
export interface Vocabulary {
  /** By id; undefined for ids that write nothing. */
  readonly tokens: readonly (Uint8Array | undefined)[];
  /** Names of the tokens that stand for no text, such as `[TOOL_CALLS]`. */
  readonly special: readonly string[];
}

const vocab = z.union([
  z.record(z.string(), z.int().nonnegative()),
  z.array(z.tuple([z.string(), z.number()]).rest(z.unknown())),
]);

const tokenizerFile = z.looseObject({
  model: z.looseObject({ type: z.string().nullish(), vocab }),
  added_tokens: z
    .array(z.looseObject({ id: z.int().nonnegative(), content: z.string(), special: z.boolean().default(false) }))
    .default([]),
});

/** Reads what tokenizer.json says of each token. Throws `model_missing`, `model_invalid`, `model_unsupported`. */
export function readVocabulary(directory: string): Vocabulary {
  const path = join(directory, "tokenizer.json");
  const file = readJson(path, tokenizerFile);
  const { model, added_tokens: added } = file;
  if (model.type === "WordPiece") {
    throw new VitrineError(
      "model_unsupported",
      `${path} has tokens that mean different bytes in different places (WordPiece): its output cannot be held to a format.`,
    );
  }
  const bytesOf = pieceBytesOf(file);
  const tokens: (Uint8Array | undefined)[] = [];
  const entries = Array.isArray(model.vocab)
    ? model.vocab.map(([text], id) => [text, id] as const)
    : Object.entries(model.vocab);
  for (const [text, id] of entries) tokens[id] = bytesOf(text);
  for (const { id, content, special } of added) {
    tokens[id] = special ? specialBytes(content) : Buffer.from(content, "utf8");
  }
  return { tokens, special: added.flatMap(({ content, special }) => (special && content !== "" ? [content] : [])) };
}
