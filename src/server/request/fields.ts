import { z } from "zod";
import type { ChatMessage, Tool } from "../../runtime/text/chat-message.js";
import { OUTPUT_FIELDS, toolCallsField } from "./output-fields.js";

/*
 * Building blocks of the request schemas. Every message completes "`field` …": what the field must be.
 * None holds what the client sent.
 */

const numberIn = (low: number, high: number) => {
  const error = `must be a number from ${low} to ${high}`;
  return z.number({ error }).min(low, { error }).max(high, { error });
};

const intIn = (low: number, high: number) => {
  const error = `must be a whole number from ${low} to ${high}`;
  return z.int({ error }).min(low, { error }).max(high, { error });
};

const intFrom = (low: number, more = "") => {
  const error = `must be a whole number of at least ${low}${more}`;
  return z.int({ error }).min(low, { error });
};

const boolean = () => z.boolean({ error: "must be true or false" });
const text = (error = "must be a string") => z.string({ error });

/** OpenAI's limit. */
const MAX_STOPS = 4;

const stop = z.unknown().transform((value, context): readonly string[] => {
  const stops: readonly unknown[] = Array.isArray(value) ? value : [value];
  const good = stops.length <= MAX_STOPS && stops.every((item) => typeof item === "string" && item !== "");
  if (good) return stops as readonly string[];
  context.addIssue(`must be a string or an array of at most ${MAX_STOPS} strings, none of them empty`);
  return z.NEVER;
});

/** A seed may be negative for OpenAI; two's complement in 53 bits makes it what the sampler takes. */
const seed = z
  .int({ error: "must be a whole number between -2^53 and 2^53" })
  .transform((value) => (value < 0 ? 2 ** 53 + value : value));

/** A mass of 0 means the likeliest token alone, as any mass below its share does. */
const mass = () =>
  numberIn(0, 1)
    .default(1)
    .transform((share) => Math.max(share, Number.EPSILON));

const BIASES = "must be an object of token ids and numbers from -100 to 100";

/** Pairs of token id and bias, by id. */
const logitBias = z.unknown().transform((value, context): readonly (readonly [number, number])[] => {
  const biases =
    typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : undefined;
  const pairs = biases?.map(
    ([id, bias]: [string, unknown]) => [Number(id), bias, /^(0|[1-9]\d{0,9})$/.test(id)] as const,
  );
  const good = pairs?.every(([, bias, isId]) => isId && typeof bias === "number" && Math.abs(bias) <= 100);
  if (pairs !== undefined && good) return pairs.map(([id, bias]) => [id, bias as number]);
  context.addIssue(BIASES);
  return z.NEVER;
});

/** Most answers to one prompt, as in OpenAI's API, and most answers to one request. */
export const MOST_CHOICES = 128;
/** Most alternatives of one position, as in OpenAI's API. */
const MOST_LOGPROBS = 20;

/** Fields that both routes share. */
export const SHARED_FIELDS = {
  model: text("must be a string, the id that `GET /v1/models` names"),
  max_tokens: intFrom(1).optional(),
  n: intIn(1, MOST_CHOICES).default(1),
  temperature: numberIn(0, 2).default(1),
  top_p: mass(),
  // -1 is what vLLM's clients send for "all".
  top_k: z
    .int({ error: "must be a whole number of at least 0 (0 keeps all)" })
    .min(-1, { error: "must be a whole number of at least 0 (0 keeps all)" })
    .default(0)
    .transform((k) => Math.max(k, 0)),
  min_p: numberIn(0, 1).default(0),
  typical_p: mass(),
  logit_bias: logitBias.optional(),
  min_tokens: intFrom(0).default(0),
  ignore_eos: boolean().default(false),
  seed: seed.optional(),
  stop: stop.optional(),
  stop_token_ids: z
    .array(intFrom(0), { error: "must be an array of token ids" })
    .max(64, { error: "must hold at most 64 token ids" })
    .default([]),
  include_stop_str_in_output: boolean().default(false),
  frequency_penalty: numberIn(-2, 2).default(0),
  presence_penalty: numberIn(-2, 2).default(0),
  repetition_penalty: numberIn(0.01, 10).default(1),
  stream: boolean().default(false),
  stream_options: z
    .object({ include_usage: boolean().nullish() }, { error: 'must be an object such as {"include_usage": true}' })
    .optional(),
  priority: intIn(-10, 10).default(0),
  cache_salt: text().min(1, { error: "must not be empty" }).optional(),
  user: text().optional(),
  // OpenAI's successor of `user`.
  safety_identifier: text().optional(),
};

/** What is to be completed. */
export type Prompt =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "tokens"; readonly ids: readonly number[] }
  | { readonly kind: "messages"; readonly messages: readonly ChatMessage[]; readonly tools?: readonly Tool[] };

const PROMPT_SHAPE = "must be a string, an array of token ids, or an array of such prompts";

/** `prompt` of /v1/completions: a string or token ids, or several of them. */
const promptsField = z
  .unknown()
  .optional()
  .transform((value, context): readonly Prompt[] => {
    const one = promptOf(value);
    if (one !== undefined) return [one];
    const prompts = Array.isArray(value) ? value.map(promptOf) : [];
    if (prompts.length > 0 && prompts.every((prompt) => prompt !== undefined)) return prompts;
    context.addIssue(PROMPT_SHAPE);
    return z.NEVER;
  });

function promptOf(value: unknown): Prompt | undefined {
  if (typeof value === "string") return { kind: "text", text: value };
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const ids: readonly unknown[] = value;
  const good = ids.every((id) => Number.isSafeInteger(id) && (id as number) >= 0);
  return good ? { kind: "tokens", ids: ids as readonly number[] } : undefined;
}

/** Fields of /v1/completions alone. */
export const COMPLETION_FIELDS = {
  prompt: promptsField,
  max_tokens: intFrom(0).optional(),
  best_of: intIn(1, MOST_CHOICES).optional(),
  echo: boolean().default(false),
  // The chat route's switch, turned off.
  logprobs: z
    .unknown()
    .transform((value) => (value === false ? undefined : value))
    .pipe(intIn(0, MOST_LOGPROBS).optional())
    .optional(),
};

const part = z.object(
  { type: text(), text: z.string({ error: "must be a string" }).optional() },
  { error: 'must be an object such as {"type": "text", "text": "…"}' },
);

const content = z
  .unknown()
  .optional()
  .transform((value, context): string => {
    if (typeof value === "string") return value;
    if (!Array.isArray(value) || value.length === 0) {
      context.addIssue("must be a string or an array of text parts");
      return z.NEVER;
    }
    const texts = value.map((item: unknown, i) => {
      const parsed = part.safeParse(item);
      if (parsed.success && parsed.data.type === "text" && parsed.data.text !== undefined) return parsed.data.text;
      context.issues.push({ code: "custom", input: undefined, ...partIssue(parsed, i) });
      return "";
    });
    return texts.join("\n");
  });

function partIssue(parsed: z.ZodSafeParseResult<z.infer<typeof part>>, index: number) {
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return { path: [index, ...(issue?.path ?? [])], message: issue?.message ?? "is not a content part" };
  }
  if (parsed.data.type !== "text") {
    return { path: [index, "type"], message: 'must be "text": this model takes text only, no images, audio or files' };
  }
  return { path: [index, "text"], message: "must be a string" };
}

const ROLES = ["system", "developer", "user", "assistant", "tool"] as const;

/** A turn that only calls tools has no content. */
const withContent = (message: unknown): unknown => {
  if (typeof message !== "object" || message === null || !("tool_calls" in message) || !message.tool_calls)
    return message;
  return { ...message, content: ("content" in message ? message.content : undefined) ?? "" };
};

const message = z.object(
  {
    tool_calls: toolCallsField,
    tool_call_id: text().nullish(),
    name: text().nullish(),
    role: z
      .enum(ROLES, { error: `must be one of ${ROLES.join(", ")}` })
      // OpenAI's newer name for the same role; templates know the older one.
      .transform((role) => (role === "developer" ? "system" : role)),
    content,
  },
  { error: "must be an object with role and content" },
);

function chatMessage({
  role,
  content,
  tool_calls: calls,
  tool_call_id: id,
  name,
}: z.output<typeof message>): ChatMessage {
  return {
    role,
    content,
    ...(calls == null || calls.length === 0 ? {} : { tool_calls: calls }),
    ...(id == null ? {} : { tool_call_id: id }),
    ...(name == null ? {} : { name }),
  };
}

/** `messages` of /v1/chat/completions. */
const messagesField = z
  .array(z.preprocess(withContent, message), { error: "must be an array of messages, each with role and content" })
  .min(1, { error: "must hold at least one message" })
  .transform((messages) => messages.map(chatMessage));

/** Fields of /v1/chat/completions alone. */
export const CHAT_FIELDS = {
  ...OUTPUT_FIELDS,
  messages: messagesField,
  max_completion_tokens: SHARED_FIELDS.max_tokens,
  logprobs: boolean().default(false),
  top_logprobs: intIn(0, MOST_LOGPROBS).default(0),
};
