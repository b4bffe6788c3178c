import { Derivatives } from "../../src/runtime/grammar/derivatives.js";
import type { Expr } from "../../src/runtime/grammar/expression.js";
import { Expressions } from "../../src/runtime/grammar/expression.js";
import { JsonLanguage } from "../../src/runtime/grammar/json-language.js";
import type { Schema } from "../../src/runtime/grammar/schema-document.js";
import { schemaLanguage } from "../../src/runtime/grammar/schema-language.js";
import { buildTokenTrie } from "../../src/runtime/grammar/token-trie.js";
import type { VocabularyTables } from "../../src/runtime/grammar/vocabulary-worker.js";

/** Everything that languages are made with. */
export function languages() {
  const derivatives = new Derivatives(new Expressions());
  return { derivatives, exprs: derivatives.exprs, json: new JsonLanguage(derivatives.exprs) };
}

/** Whether texts are of the language of `schema`. */
export function acceptor(schema: unknown): (text: string) => boolean {
  const { derivatives, json } = languages();
  const language = schemaLanguage(json, derivatives, schema as Schema);
  return (text) => derivatives.accepts(language, text);
}

/** A vocabulary of these tokens, their ids their places. */
export function vocabularyOf(tokens: readonly (string | Uint8Array | undefined)[]): VocabularyTables {
  const all = tokens.map((token) => (typeof token === "string" ? Buffer.from(token, "utf8") : token));
  const starts = new Int32Array(all.length + 1);
  all.forEach((bytes, id) => {
    starts[id + 1] = (starts[id] as number) + (bytes?.length ?? 0);
  });
  const bytes = new Uint8Array(Buffer.concat(all.map((token) => token ?? new Uint8Array())));
  return { trie: buildTokenTrie(all), bytes, starts, special: [], characters: [] };
}

/** Bytes that may follow, by walking the automaton: what masks are checked against. */
export function allowedTokens(
  derivatives: Derivatives,
  state: Expr,
  tokens: readonly (Uint8Array | undefined)[],
): number[] {
  return tokens.flatMap((bytes, id) =>
    bytes !== undefined && bytes.length > 0 && derivatives.run(state, bytes) !== derivatives.exprs.never ? [id] : [],
  );
}
