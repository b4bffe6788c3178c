/**
 * What may leave the process in a span: these attributes, by name and type, and nothing else. Names are listed
 * one by one, never by prefix, because `gen_ai.*` also holds prompts and completions (`gen_ai.prompt`,
 * `gen_ai.input.messages`, `gen_ai.system_instructions`, tool arguments, …).
 *
 * Values that a caller chooses freely (`gen_ai.request.model`, `http.path`) are the route and the model served,
 * set by this service. Only the spans that a traced program makes itself have names of its own (`holdsContent`).
 */
export type AttributeType = "string" | "number" | "boolean" | "strings";

const byType = {
  string: [
    // HTTP and the network, names as Zipkin's instrumentation has them.
    "http.method",
    "http.path",
    "http.route",
    "network.peer.address",
    "peer.service",
    // The same, as OpenTelemetry's HTTP instrumentation of other programs names them.
    "http.request.method",
    "url.scheme",
    "url.path",
    "url.full",
    "server.address",
    "network.protocol.version",
    "error",
    "error.type",
    "sampling.reason",
    "user_id_hash",
    "user_id_hash.previous",
    "api_key_hash",
    "api_key_hash.previous",
    // Ours.
    "ai.model.name",
    "ai.model.dtype",
    "ai.task.type",
    "ai.response_format",
    "ai.phase",
    "ai.step.first",
    "ai.step.last",
    "ai.step.slowest",
    "ai.outcome",
    "ai.cancel.cause",
    "ai.device",
    "ai.kv.device",
    "ai.kv.fallback",
    "ai.device.reason",
    "ai.gpu.throttled",
    "ai.runtime",
    "ai.runtime.reason",
    "ai.cuda_graphs",
    "ai.cuda_graphs.reason",
    "ai.rehearsal.failed",
    "ai.image_resolution",
    // Of `vitrine bench`.
    "bench.run_id",
    "bench.load",
    // OpenTelemetry's generative-AI conventions, their parts without content.
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "gen_ai.output.type",
  ],
  number: [
    "http.status_code",
    "http.response.status_code",
    "server.port",
    "network.peer.port",
    "ai.prompt.length",
    "ai.response.length",
    "ai.temperature",
    "ai.top_p",
    "ai.top_k",
    "ai.min_p",
    "ai.typical_p",
    "ai.min_tokens",
    "ai.n",
    "ai.logprobs",
    "ai.priority",
    "ai.choice.index",
    "ai.seed",
    "ai.max_tokens",
    "ai.repetition_penalty",
    "ai.presence_penalty",
    "ai.frequency_penalty",
    "ai.tokens_per_second",
    "ai.ttft_ms",
    "ai.tokens",
    "ai.steps",
    "ai.step.number",
    "ai.step.requests",
    "ai.step.context_tokens",
    "ai.steps.lost",
    "ai.step_ms.max",
    "ai.step_ms.expected",
    "ai.batch.size",
    "ai.batch.mean_size",
    "ai.chunks",
    "ai.rehearsal.checks",
    "ai.rehearsal.largest_error",
    "ai.queue.depth",
    "ai.kv.tokens",
    "ai.kv.bytes",
    "ai.kv.reused_tokens",
    "ai.kv.reused_bytes",
    "ai.kv.evicted",
    "ai.kv.evicted_bytes",
    "ai.kv.wait_ms",
    "ai.kv.pool_bytes",
    "ai.kv.pool_utilization",
    "ai.kv.growth_bytes",
    "ai.kv.growth_ms",
    "ai.kv.refused_bytes",
    "ai.kv.bytes_per_token",
    "ai.cost.device_seconds",
    "ai.cost.joules",
    "ai.cost.amount",
    "ai.gpu.utilization",
    "ai.gpu.memory_used",
    "ai.gpu.power",
    "ai.num_images",
    "ai.model.weight_bytes",
    "ai.model.context_length",
    "ai.model.layers",
    "ai.model.vocab_size",
    "ai.engine.restarts",
    "bench.repeat",
    "bench.requests",
    "gen_ai.request.temperature",
    "gen_ai.request.top_p",
    "gen_ai.request.top_k",
    "gen_ai.request.choice.count",
    "gen_ai.request.seed",
    "gen_ai.request.max_tokens",
    "gen_ai.request.presence_penalty",
    "gen_ai.request.frequency_penalty",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.response.time_to_first_chunk",
    // Latencies in seconds, as vLLM and SGLang name them.
    "gen_ai.latency.time_to_first_token",
    "gen_ai.latency.e2e",
    "gen_ai.latency.time_in_queue",
    "gen_ai.latency.time_in_model_prefill",
    "gen_ai.latency.time_in_model_decode",
    "gen_ai.latency.time_in_model_inference",
  ],
  boolean: ["gen_ai.request.stream"],
  strings: ["gen_ai.response.finish_reasons"],
} as const satisfies Record<AttributeType, readonly string[]>;

export interface AllowedAttribute {
  readonly name: string;
  readonly type: AttributeType;
  /** Takes from the text what may not leave. */
  readonly clean?: (text: string) => string;
}

/** An address without user, password, query and fragment. */
export function bareUrl(text: string): string {
  const end = text.search(/[?#]/);
  return (end === -1 ? text : text.slice(0, end)).replace(/^([a-z][a-z\d+.-]*:\/\/)[^/]*@/i, "$1");
}

const CLEANED: Readonly<Record<string, (text: string) => string>> = { "url.full": bareUrl };

/**
 * Names, and beginnings of names, that hold what people write and models answer, headers, queries, statements or people, by
 * OpenTelemetry's conventions and those of OpenLLMetry and OpenInference. No span has them, whoever set them.
 */
const CONTENT = [
  "gen_ai.prompt",
  "gen_ai.completion",
  "gen_ai.input.messages",
  "gen_ai.output.messages",
  "gen_ai.system_instructions",
  "gen_ai.tool.definitions",
  "gen_ai.tool.call.arguments",
  "gen_ai.tool.call.result",
  "gen_ai.request.stop_sequences",
  "llm.prompts",
  "llm.completions",
  "llm.input_messages",
  "llm.output_messages",
  "llm.prompt_template",
  "traceloop.entity.input",
  "traceloop.entity.output",
  "input.value",
  "output.value",
  "http.request.header",
  "http.response.header",
  "http.url",
  "http.target",
  "http.user_agent",
  "user_agent",
  "url.query",
  "db.statement",
  "db.query.text",
  "db.query.parameter",
  "exception.message",
  "exception.stacktrace",
  "enduser",
  "user",
] as const;
const CONTENT_NAME = new RegExp(`^(?:${CONTENT.join("|").replaceAll(".", "\\.")})(?:\\.|$)`);

export const holdsContent = (name: string): boolean => CONTENT_NAME.test(name);

/** The order is the wire code of a name between the two threads of one process; it is stored nowhere. */
export const ALLOWED_ATTRIBUTES: readonly AllowedAttribute[] = Object.entries(byType).flatMap(([type, names]) =>
  names.map((name) => {
    const clean = CLEANED[name];
    return { name, type: type as AttributeType, ...(clean === undefined ? {} : { clean }) };
  }),
);

/** Names an attribute vitrine itself sets; a misspelt one does not compile. */
export type AttributeName = (typeof byType)[AttributeType][number];

/** Longest text kept, in UTF-16 units; the rest is cut. */
export const MAX_VALUE_LENGTH = 512;
export const MAX_NAME_LENGTH = 128;

/** True when `value` has the type its name is listed with. */
export function hasType(value: unknown, type: AttributeType): boolean {
  if (type === "strings") return Array.isArray(value) && value.every((one) => typeof one === "string");
  return type === "number" ? Number.isFinite(value) : typeof value === type;
}
