import { join } from "node:path";
import { z } from "zod";
import { VitrineError } from "../../errors.js";
import { readJson } from "../json-file.js";

/** What each token writes. */
export interface TokenBytes {
  /** By id; undefined for ids that write nothing. */
  readonly tokens: readonly (Uint8Array | undefined)[];
  /** Tokens that stand for no text, such as `[TOOL_CALLS]`: `markSpecial` of what they are called. */
  readonly special: ReadonlyMap<string, number>;
}

const file = z.looseObject({
  model: z.looseObject({
    type: z.string().nullish(),
    vocab: z.union([
      z.record(z.string(), z.int().nonnegative()),
      z.array(z.tuple([z.string(), z.number()]).rest(z.unknown())),
    ]),
  }),
  added_tokens: z
    .array(z.looseObject({ id: z.int().nonnegative(), content: z.string(), special: z.boolean().default(false) }))
    .default([]),
  pre_tokenizer: z.unknown(),
  decoder: z.unknown(),
});

/** Reads what tokenizer.json says of each token. Throws `model_missing`, `model_invalid`, `model_unsupported`. */
export function readTokenBytes(directory: string): TokenBytes {
  const path = join(directory, "tokenizer.json");
  const { model, added_tokens: added, pre_tokenizer: splitter, decoder } = readJson(path, file);
  const decode = decoderOf(JSON.stringify([splitter, decoder]), path);
  const tokens: (Uint8Array | undefined)[] = [];
  const entries = Array.isArray(model.vocab)
    ? model.vocab.map(([text], id) => [text, id] as const)
    : Object.entries(model.vocab);
  for (const [text, id] of entries) tokens[id] = decode(text);
  const special = new Map<string, number>();
  for (const token of added) {
    tokens[token.id] = token.special ? markSpecial(token.content) : Buffer.from(token.content, "utf8");
    if (token.special && token.content !== "") special.set(token.content, token.id);
  }
  return { tokens, special };
}

/**
 * A special token as bytes that no text has: 0xFF is not in UTF-8. So a grammar can ask for one, and none gets into a
 * string. (The idea is llguidance's.)
 */
export function markSpecial(name: string): Uint8Array {
  return Buffer.concat([Buffer.of(0xff), Buffer.from(name, "utf8"), Buffer.of(0xff)]);
}

type DecodeToken = (text: string) => Uint8Array | undefined;

function decoderOf(pipeline: string, path: string): DecodeToken {
  if (pipeline.includes('"ByteLevel"')) return byteLevel();
  if (pipeline.includes('"ByteFallback"') || pipeline.includes('"Metaspace"') || pipeline.includes("\u2581")) {
    return sentencePiece;
  }
  throw new VitrineError(
    "model_unsupported",
    `${path} has a decoder that is neither byte-level nor SentencePiece's, so output cannot be held to a format.`,
  );
}

/** GPT-2's way of writing bytes as printable characters. */
function byteLevel(): DecodeToken {
  const byteOf = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    byteOf.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return (text) => {
    const bytes = [...text].map((character) => byteOf.get(character));
    // Not written that way: a token added as it is.
    return bytes.includes(undefined) ? Buffer.from(text, "utf8") : Uint8Array.from(bytes as number[]);
  };
}

function sentencePiece(text: string): Uint8Array {
  const byte = /^<0x([\dA-F]{2})>$/.exec(text)?.[1];
  if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
  return Buffer.from(text.replaceAll("\u2581", " "), "utf8");
}
