import type { SpanAttributes } from "../tracing/spans/span-maker.js";
import { imageInput } from "./forward-pass.js";
import { imageAttributes } from "./forward-span.js";
import { dims, fields, finite, type TokenShape, tokenCount, tokenShape } from "./shapes.js";

/** What a call of `generate` asks for, as its arguments and the model's defaults tell. */
export interface GenerateCall {
  /** Most tokens to generate, where that tells why a generation ended: with one sequence, and no others tried beside it. */
  readonly limit: number | undefined;
  readonly operation: "text_completion" | "generate_content";
  readonly attributes: SpanAttributes;
}

/** transformers.js generates up to this length where nobody says another. */
const DEFAULT_MAX_LENGTH = 20;

/** `args` of version 2, `(inputs, generation_config, …)`, or of 3 and later, one object with everything. */
export function readGenerateCall(model: unknown, args: readonly unknown[]): GenerateCall {
  const whole = isInput(args[0]) ? {} : fields(args[0]);
  const given = isInput(args[0]) ? args[0] : (whole.inputs ?? whole.input_ids);
  const mask = isInput(args[0]) ? fields(args[3]).inputs_attention_mask : whole.attention_mask;
  const asked = isInput(args[0]) ? fields(args[1]) : { ...fields(whole.generation_config), ...defined(whole) };
  const config = { ...fields(fields(model).generation_config), ...asked };
  const prompt = isTokens(given) ? tokenShape(given) : undefined;
  const promptTokens = prompt === undefined ? undefined : tokenCount(given, mask);
  const maxTokens = mostTokens(config, fields(fields(model).config).is_encoder_decoder === true ? undefined : prompt);
  return {
    limit: (prompt?.rows ?? 1) === 1 && (finite(config.num_beams) ?? 1) === 1 ? maxTokens : undefined,
    operation: prompt === undefined ? "generate_content" : "text_completion",
    attributes: {
      ...samplingAttributes(config),
      ...imageAttributes({ rows: 1, ...images(isInput(args[0]) ? { pixel_values: given } : whole) }),
      "ai.max_tokens": maxTokens,
      "ai.prompt.length": promptTokens,
      "ai.batch.size": prompt?.rows,
      "gen_ai.request.max_tokens": maxTokens,
      "gen_ai.request.stream": Boolean(whole.streamer ?? config.callback_function),
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

function defined(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== null));
}

/** An encoder's decoder begins with one token of its own. */
function mostTokens(config: Readonly<Record<string, unknown>>, prompt: TokenShape | undefined): number | undefined {
  const asked = finite(config.max_new_tokens);
  if (asked !== undefined) return asked;
  return Math.max(0, (finite(config.max_length) ?? DEFAULT_MAX_LENGTH) - (prompt?.length ?? 1));
}

/** Without `do_sample` the likeliest token is taken, which is temperature 0. transformers.js takes top_p and does not use it. */
function samplingAttributes(config: Readonly<Record<string, unknown>>): SpanAttributes {
  const sampled = config.do_sample === true;
  const temperature = sampled ? (finite(config.temperature) ?? 1) : 0;
  const topK = sampled ? finite(config.top_k) : undefined;
  return {
    "ai.temperature": temperature,
    "ai.top_k": topK,
    "ai.repetition_penalty": finite(config.repetition_penalty),
    "gen_ai.request.temperature": temperature,
    "gen_ai.request.top_k": topK,
    "gen_ai.request.top_p": sampled ? finite(config.top_p) : undefined,
  };
}
