import { z } from "zod";
import { VitrineError } from "../../errors.js";
import type { SamplingParams } from "../../protocol.js";
import { checkSchema } from "../../runtime/grammar/check-grammar.js";
import { CHAT_FIELDS, COMPLETION_FIELDS, MOST_CHOICES, type Prompt, SHARED_FIELDS } from "./fields.js";
import { type OutputFormat, type ToolUse, toolUse } from "./output-fields.js";
import { findUnsupported, UNSUPPORTED_CHAT, UNSUPPORTED_COMPLETION, type UnsupportedField } from "./unsupported.js";

export type Operation = "chat" | "text_completion";

/** A validated request, defaults applied; the same for both routes. */
export interface GenerationRequest {
  readonly operation: Operation;
  readonly model: string;
  /** Each is answered `n` times. */
  readonly prompts: readonly Prompt[];
  readonly n: number;
  readonly maxTokens: MaxTokens;
  readonly sampling: Omit<SamplingParams, "seed">;
  /** Undefined: a random one. */
  readonly seed: number | undefined;
  readonly stop: StopConditions;
  /** Alternatives to report for each token; undefined: no log probabilities. */
  readonly logprobs: number | undefined;
  readonly format: OutputFormat;
  /** Undefined: none that may be called. */
  readonly tools: ToolUse | undefined;
  /** The answer begins with its prompt. */
  readonly echo: boolean;
  /** Higher goes first. */
  readonly priority: number;
  /** Keeps its cached prompt from requests with another; undefined: from other callers only. */
  readonly cacheSalt: string | undefined;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** The caller's identifier: to be hashed, never recorded. */
  readonly user: string | undefined;
  /** Names of fields without effect here. */
  readonly ignoredFields: readonly string[];
}

/** What ends an answer before its length does. */
export interface StopConditions {
  readonly strings: readonly string[];
  /** The stop string found is part of the answer. */
  readonly includeString: boolean;
  /** Beside those of the model. */
  readonly tokenIds: readonly number[];
  /** The model's own do not count. */
  readonly ignoreEos: boolean;
}

export interface MaxTokens {
  /** What the client asked for; it must fit the context. */
  readonly asked: number | undefined;
  /** Otherwise: this many, or as many as fit. */
  readonly otherwise: number;
  /** The field for messages. */
  readonly field: "max_tokens" | "max_completion_tokens";
}

/** OpenAI's default for /v1/completions. */
const DEFAULT_COMPLETION_TOKENS = 16;

const completionSchema = z.object({ ...SHARED_FIELDS, ...COMPLETION_FIELDS });
const chatSchema = z.object({ ...SHARED_FIELDS, ...CHAT_FIELDS });

/** Sampling fields under the names of requests. */
export type SamplingDefaults = Readonly<
  Partial<Record<"temperature" | "top_p" | "top_k" | "min_p" | "repetition_penalty", number>>
>;

type Fields = Readonly<Record<string, unknown>>;
type SharedData = Omit<z.output<typeof chatSchema>, keyof typeof CHAT_FIELDS>;
type SharedRequest = Omit<
  GenerationRequest,
  "operation" | "prompts" | "format" | "tools" | "maxTokens" | "logprobs" | "echo" | "ignoredFields"
>;

/**
 * The request a body asks for; `defaults` stand in for sampling fields that it leaves out, instead of OpenAI's.
 * Throws VitrineError `invalid_request` that names the field at fault.
 */
export function parseRequest(operation: Operation, body: string, defaults: SamplingDefaults = {}): GenerationRequest {
  const fields = { ...defaults, ...withoutNulls(parseJson(body)) };
  return operation === "chat" ? parseChat(fields) : parseCompletion(fields);
}

export const badField = (param: string, message: string): VitrineError =>
  new VitrineError("invalid_request", `\`${param}\` ${message}.`, { param });

function parseCompletion(fields: Fields): GenerationRequest {
  refuseUnsupported(UNSUPPORTED_COMPLETION, fields);
  const data = parse(completionSchema, fields);
  const { prompt: prompts, n, echo, best_of: bestOf = n } = data;
  if (bestOf !== n) {
    throw badField("best_of", "must equal `n`: every answer is sent; ask for their `logprobs` and choose among them");
  }
  if (data.max_tokens === 0 && !echo) {
    throw badField("max_tokens", "must be at least 1: only with `echo` an answer may have no tokens of its own");
  }
  if (prompts.length * n > MOST_CHOICES) {
    const field = n === 1 ? "prompt" : "n";
    throw badField(field, `asks for ${prompts.length * n} answers: one request has at most ${MOST_CHOICES}`);
  }
  return {
    ...shared(data),
    operation: "text_completion",
    prompts,
    format: undefined,
    tools: undefined,
    echo,
    logprobs: data.logprobs,
    maxTokens: { asked: data.max_tokens, otherwise: DEFAULT_COMPLETION_TOKENS, field: "max_tokens" },
    ignoredFields: ignored(fields, completionSchema.shape, UNSUPPORTED_COMPLETION),
  };
}

function parseChat(fields: Fields): GenerationRequest {
  refuseUnsupported(UNSUPPORTED_CHAT, fields);
  const data = parse(chatSchema, fields);
  const { max_completion_tokens: completionTokens, max_tokens: tokens } = data;
  if (data.top_logprobs > 0 && !data.logprobs) {
    throw badField("top_logprobs", "goes with `logprobs`: set that to true, or leave this out");
  }
  const { response_format: format } = data;
  const tools = toolUse(data, badField, checkSchema);
  if (format?.kind === "json_schema") checkSchema(format.schema, "response_format.json_schema.schema");
  return {
    ...shared(data),
    operation: "chat",
    prompts: [{ kind: "messages", messages: data.messages, ...(tools === undefined ? {} : { tools: tools.tools }) }],
    format,
    tools,
    echo: false,
    logprobs: data.logprobs ? data.top_logprobs : undefined,
    maxTokens: {
      asked: completionTokens ?? tokens,
      otherwise: Number.POSITIVE_INFINITY,
      field: completionTokens === undefined ? "max_tokens" : "max_completion_tokens",
    },
    ignoredFields: ignored(fields, chatSchema.shape, UNSUPPORTED_CHAT),
  };
}

function shared(data: SharedData): SharedRequest {
  if (data.stream_options !== undefined && !data.stream) {
    throw badField("stream_options", "is for streams: leave it out, or set `stream` to true");
  }
  return {
    model: data.model,
    sampling: {
      temperature: data.temperature,
      topP: data.top_p,
      topK: data.top_k,
      minP: data.min_p,
      typicalP: data.typical_p,
      logitBias: data.logit_bias ?? [],
      minTokens: data.min_tokens,
      repetitionPenalty: data.repetition_penalty,
      presencePenalty: data.presence_penalty,
      frequencyPenalty: data.frequency_penalty,
    },
    n: data.n,
    seed: data.seed,
    stop: {
      strings: data.stop ?? [],
      includeString: data.include_stop_str_in_output,
      tokenIds: data.stop_token_ids,
      ignoreEos: data.ignore_eos,
    },
    priority: data.priority,
    cacheSalt: data.cache_salt,
    stream: data.stream,
    includeUsage: data.stream_options?.include_usage === true,
    user: data.user ?? data.safety_identifier,
  };
}

function parseJson(body: string): unknown {
  if (body.trim() === "") throw new VitrineError("invalid_request", "The body is empty: send a JSON object.");
  try {
    // A parser may ignore a byte order mark (RFC 8259, section 8.1).
    return JSON.parse(body.startsWith("\uFEFF") ? body.slice(1) : body);
  } catch {
    // The parser's own message quotes the body.
    throw new VitrineError("invalid_request", "The body is not valid JSON: check its quotes, commas and brackets.");
  }
}

/** Clients send `null` for "the default". */
function withoutNulls(body: unknown): Fields {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new VitrineError("invalid_request", "The body must be a JSON object.");
  }
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
}

function refuseUnsupported(table: readonly UnsupportedField[], fields: Fields): void {
  const unsupported = findUnsupported(table, fields);
  if (unsupported) throw badField(unsupported.field, unsupported.message);
}

function ignored(fields: Fields, known: object, table: readonly UnsupportedField[]): readonly string[] {
  return Object.keys(fields).filter((name) => !(name in known) && !table.some(({ field }) => field === name));
}

function parse<T extends z.ZodType>(schema: T, fields: Fields): z.output<T> {
  const result = schema.safeParse(fields);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = issue?.path ?? [];
  const missing = path.length === 1 && !(String(path[0]) in fields);
  const message = issue?.message ?? "is not valid";
  throw badField(fieldName(path), missing ? `is required: it ${message}` : message);
}

/** `messages[0].content[1].type`. */
function fieldName(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (name, key) => (typeof key === "number" ? `${name}[${key}]` : name === "" ? String(key) : `${name}.${String(key)}`),
    "",
  );
}
