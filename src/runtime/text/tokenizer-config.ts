import { join } from "node:path";
import { z } from "zod";
import { readOptionalJson } from "../files/json-file.js";

/** A special token is its text, or an object that holds it. */
const special = z.union([z.string(), z.looseObject({ content: z.string() })]).nullish();

const namedTemplates = z.array(z.looseObject({ name: z.string(), template: z.string() }));

const tokenizerConfigFile = z.looseObject({
  bos_token: special,
  eos_token: special,
  unk_token: special,
  pad_token: special,
  chat_template: z.union([z.string(), namedTemplates]).nullish(),
});

export type TokenizerConfig = z.output<typeof tokenizerConfigFile>;

/** tokenizer_config.json; an empty one where there is none. Throws `model_invalid`. */
export function readTokenizerConfig(directory: string): TokenizerConfig {
  return readOptionalJson(join(directory, "tokenizer_config.json"), tokenizerConfigFile) ?? {};
}

export function specialToken(token: z.output<typeof special>): string | undefined {
  if (token == null) return undefined;
  return typeof token === "string" ? token : token.content;
}
