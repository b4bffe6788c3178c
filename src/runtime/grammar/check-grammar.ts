import { GrammarLanguages } from "./grammar-language.js";

/**
 * Compiles a JSON Schema to see that it can be held to. Throws VitrineError `invalid_request` that names its part, which
 * begins with `name`.
 */
export function checkSchema(schema: string, name: string): void {
  new GrammarLanguages().schema(schema, name);
}
