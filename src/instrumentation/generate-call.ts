import type { SpanAttributes } from "../tracing/spans/open-span.js";
import { imageInput } from "./forward-pass.js";
import { imageAttributes } from "./forward-span.js";
import { dims, type Fields, fields, finite, type TokenShape, tokenCount, tokenShape } from "./shapes.js";

/** What a call of `generate` asks for, as its arguments and the model's defaults tell. */
export interface GenerateCall {
  /** Most tokens to generate, where that tells why a generation ended: with one sequence, and no others tried beside it. */
  readonly limit: number | undefined;
  /** As the hub names tasks; unknown where the input is no text. */
  readonly task: string | undefined;
  readonly attributes: SpanAttributes;
}

/** transformers.js generates up to this length where nobody says another. */
const DEFAULT_MAX_LENGTH = 20;

/** `args` of version 2, `(inputs, generation_config, …)`, or of 3 and later, one object with everything. */
export function readGenerateCall(model: unknown, args: readonly unknown[]): GenerateCall {
  const older = isInput(args[0]);
  const whole = older ? {} : fields(args[0]);
  const given = older ? args[0] : (whole.inputs ?? whole.input_ids);
  const mask = older ? fields(args[3]).inputs_attention_mask : whole.attention_mask;
  const setting = settings(whole, fields(older ? args[1] : whole.generation_config), model);
  const prompt = isTokens(given) ? tokenShape(given) : undefined;
  const promptTokens = prompt === undefined ? undefined : tokenCount(given, mask);
  const encodes = fields(fields(model).config).is_encoder_decoder === true;
  const maxTokens = mostTokens(setting, encodes ? undefined : prompt);
  return {
    limit: (prompt?.rows ?? 1) === 1 && (finite(setting("num_beams")) ?? 1) === 1 ? maxTokens : undefined,
    task: prompt === undefined ? undefined : encodes ? "text2text-generation" : "text-generation",
    attributes: {
      "gen_ai.operation.name": prompt === undefined ? "generate_content" : "text_completion",
      ...samplingAttributes(setting),
      ...imageAttributes({ rows: 1, ...images(older ? { pixel_values: given } : whole) }),
      "ai.max_tokens": maxTokens,
      "ai.prompt.length": promptTokens,
      "ai.batch.size": prompt?.rows,
      "gen_ai.request.max_tokens": maxTokens,
      "gen_ai.request.stream": Boolean(whole.streamer ?? setting("callback_function")),
      "gen_ai.usage.input_tokens": promptTokens,
    },
  };
}

/** A tensor or a list: the first argument of version 2. */
const isInput = (value: unknown): boolean => dims(value) !== undefined || tokenShape(value) !== undefined;

/** Ids are whole numbers in one or two dimensions; sound and pictures are neither. */
const isTokens = (value: unknown): boolean => {
  const shape = dims(value);
  return shape === undefined || (shape.length <= 2 && fields(value).type === "int64");
};

const images = (inputs: unknown) => {
  const found = imageInput(inputs);
  return found === undefined ? {} : { images: found };
};

/** What a generation goes by; each is looked up, since a copy of all forty would cost more than the rest of its span. */
type Settings = (name: string) => unknown;

/** The arguments come before the configuration given with them, and that before the model's own. */
function settings(args: Fields, given: Fields, model: unknown): Settings {
  const defaults = fields(fields(model).generation_config);
  return (name) => args[name] ?? (Object.hasOwn(given, name) ? given[name] : defaults[name]);
}

/** An encoder's decoder begins with one token of its own. */
function mostTokens(setting: Settings, prompt: TokenShape | undefined): number | undefined {
  const asked = finite(setting("max_new_tokens"));
  if (asked !== undefined) return asked;
  return Math.max(0, (finite(setting("max_length")) ?? DEFAULT_MAX_LENGTH) - (prompt?.length ?? 1));
}

/** Without `do_sample` the likeliest token is taken, which is temperature 0. transformers.js takes top_p and does not use it. */
function samplingAttributes(setting: Settings): SpanAttributes {
  const sampled = setting("do_sample") === true;
  const temperature = sampled ? (finite(setting("temperature")) ?? 1) : 0;
  const topK = sampled ? finite(setting("top_k")) : undefined;
  return {
    "ai.temperature": temperature,
    "ai.top_k": topK,
    "ai.repetition_penalty": finite(setting("repetition_penalty")),
    "gen_ai.request.temperature": temperature,
    "gen_ai.request.top_k": topK,
    "gen_ai.request.top_p": sampled ? finite(setting("top_p")) : undefined,
  };
}
