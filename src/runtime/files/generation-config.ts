import { join } from "node:path";
import { z } from "zod";
import { readOptionalJson } from "./json-file.js";

/**
 * How a model's authors want it sampled, in the names of requests. A field that is not there keeps OpenAI's default.
 */
export interface SamplingDefaults {
  readonly temperature?: number;
  readonly top_p?: number;
  readonly top_k?: number;
  readonly min_p?: number;
  readonly repetition_penalty?: number;
}

const within = (low: number, high: number) => z.number().min(low).max(high).nullish();

/** The ranges are those of requests: a default that no request may ask for is a damaged file. */
const generationConfigFile = z.looseObject({
  temperature: within(0, 2),
  top_p: within(0, 1),
  top_k: z.int().min(-1).nullish(),
  min_p: within(0, 1),
  repetition_penalty: within(0.01, 10),
});

/**
 * The sampling fields of generation_config.json; none where there is no file. As in vLLM they are what a request gets
 * that names none itself, and `do_sample`, which no such API has, is not looked at. Throws `model_invalid`.
 */
export function readSamplingDefaults(directory: string): SamplingDefaults {
  const file = readOptionalJson(join(directory, "generation_config.json"), generationConfigFile);
  const names = ["temperature", "top_p", "top_k", "min_p", "repetition_penalty"] as const;
  return Object.fromEntries(names.map((name) => [name, file?.[name]]).filter(([, value]) => value != null));
}
