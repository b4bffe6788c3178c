import { z } from "zod";
import type { ChatMessage } from "../runtime/chat-template.js";

/*
 * Building blocks of the request schemas. Every message completes "`field` …": what the field must be.
 * None holds what the client sent.
 */

const numberIn = (low: number, high: number) => {
  const error = `must be a number from ${low} to ${high}`;
  return z.number({ error }).min(low, { error }).max(high, { error });
};

const positiveInt = () => {
  const error = "must be a whole number of at least 1";
  return z.int({ error }).min(1, { error });
};

const boolean = () => z.boolean({ error: "must be true or false" });
const text = () => z.string({ error: "must be a string" });

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

/** Fields that both routes share. */
export const SHARED_FIELDS = {
  model: text(),
  max_tokens: positiveInt().optional(),
  temperature: numberIn(0, 2).default(1),
  // A mass of 0 means the likeliest token alone, as any mass below its share does.
  top_p: numberIn(0, 1)
    .default(1)
    .transform((mass) => Math.max(mass, Number.EPSILON)),
  // -1 is what vLLM's clients send for "all".
  top_k: z
    .int({ error: "must be a whole number of at least 0 (0 keeps all)" })
    .min(-1, { error: "must be a whole number of at least 0 (0 keeps all)" })
    .default(0)
    .transform((k) => Math.max(k, 0)),
  min_p: numberIn(0, 1).default(0),
  seed: seed.optional(),
  stop: stop.optional(),
  frequency_penalty: numberIn(-2, 2).default(0),
  presence_penalty: numberIn(-2, 2).default(0),
  repetition_penalty: numberIn(0.01, 10).default(1),
  stream: boolean().default(false),
  stream_options: z
    .object({ include_usage: boolean().nullish() }, { error: 'must be an object such as {"include_usage": true}' })
    .optional(),
  user: text().optional(),
  // OpenAI's successor of `user`.
  safety_identifier: text().optional(),
};

/** What is to be completed. */
export type Prompt =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "tokens"; readonly ids: readonly number[] }
  | { readonly kind: "messages"; readonly messages: readonly ChatMessage[] };

const PROMPT_SHAPE = "must be a string or an array of token ids";
const ONE_PROMPT = "must be one prompt: send several prompts as several requests";

/** `prompt` of /v1/completions: a string, token ids, or an array of exactly one of them. */
export const promptField = z
  .unknown()
  .optional()
  .transform((value, context): Prompt => {
    const only: unknown = Array.isArray(value) && value.length === 1 && typeof value[0] !== "number" ? value[0] : value;
    if (typeof only === "string") return { kind: "text", text: only };
    if (Array.isArray(only)) {
      const items: readonly unknown[] = only;
      if (items.length > 0 && items.every((item) => Number.isSafeInteger(item) && (item as number) >= 0)) {
        return { kind: "tokens", ids: items as readonly number[] };
      }
      if (items.length > 1 && items.every((item) => typeof item === "string" || Array.isArray(item))) {
        context.addIssue(ONE_PROMPT);
        return z.NEVER;
      }
    }
    context.addIssue(PROMPT_SHAPE);
    return z.NEVER;
  });

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

const message = z.object(
  {
    tool_calls: z
      .unknown()
      .optional()
      .refine((calls) => calls == null || (Array.isArray(calls) && calls.length === 0), {
        error: "is not supported yet: send messages without tool calls",
      }),
    role: z
      .enum(ROLES, { error: `must be one of ${ROLES.join(", ")}` })
      // OpenAI's newer name for the same role; templates know the older one.
      .transform((role) => (role === "developer" ? "system" : role)),
    content,
  },
  { error: "must be an object with role and content" },
);

/** `messages` of /v1/chat/completions. */
export const messagesField = z
  .array(message, { error: "must be an array of messages, each with role and content" })
  .min(1, { error: "must hold at least one message" })
  .transform((messages): Prompt => {
    return { kind: "messages", messages: messages.map(({ role, content }) => ({ role, content })) };
  });
