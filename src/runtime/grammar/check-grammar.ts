import { GrammarLanguages } from "./grammar-language.js";

/** Expressions that are kept for the next schemas; then new ones begin. */
const MOST_EXPRESSIONS = 100_000;
/** Schemas that are known to be good: programs send the same few again and again. */
const MOST_KNOWN = 64;

let languages = new GrammarLanguages();
const known = new Set<string>();

/**
 * Compiles a JSON Schema to see that it can be held to. Throws VitrineError `invalid_request` that names its part, which
 * begins with `name`.
 */
export function checkSchema(schema: string, name: string): void {
  if (known.has(schema)) return;
  if (languages.derivatives.exprs.size > MOST_EXPRESSIONS) languages = new GrammarLanguages();
  languages.schema(schema, name);
  known.add(schema);
  const [oldest] = known;
  if (known.size > MOST_KNOWN && oldest !== undefined) known.delete(oldest);
}
