/**
 * The one table of options: a row is a command-line flag, its environment names, its default and its check.
 * `vitrine --help`, the README's table and `loadConfig` come from it.
 */
import { z } from "zod";

export interface OptionRow {
  /** Long flag without dashes; absent for keys, which do not belong on a command line. */
  readonly flag?: string;
  /** Placeholder of the value in help texts; empty for a switch, `--no-…`, whose value is then `off`. */
  readonly value: string;
  /** Environment names; the first that is set wins. */
  readonly env: readonly string[];
  readonly fallback?: string;
  /** Its value is not repeated in messages. */
  readonly secret?: true;
  readonly help: string;
  readonly schema: z.ZodType;
}

export const text = z.string().min(1, "must not be empty");
/** A word, however it is spelt: `--log-level WARN`, `--device CPU`. */
const word = z.string().trim().toLowerCase();
export const number = (what: string) =>
  z
    .string()
    .trim()
    .regex(/^\+?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i, `expected ${what}`)
    .transform(Number);
export const integer = (least: number, most: number, what: string) =>
  number(what).refine((value) => Number.isInteger(value) && value >= least && value <= most, `expected ${what}`);

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
export const duration = word
  .regex(/^(\d+\.?\d*|\.\d+) ?(ms|s|m|h)$/, "expected a duration with its unit, such as 500ms, 30s or 2m")
  .transform((value) => Number.parseFloat(value) * (UNIT_MS[value.replace(/^[\d. ]+/, "")] ?? Number.NaN))
  // Node's timers hold 31 bits of milliseconds.
  .refine((value) => value < 2 ** 31, "expected at most 24 days");

const DEVICE_NAMES = "expected one of auto, cpu, cuda, cuda:N";
const device = word
  .pipe(z.union([z.enum(["auto", "cpu", "cuda"]), z.templateLiteral(["cuda:", z.int()])], { error: DEVICE_NAMES }))
  // A template's numbers are not held to their own checks.
  .refine((name) => !name.includes("-"), DEVICE_NAMES);

const devices = z.string().transform((value, context) => {
  const { data = [] } = z.array(device).safeParse(value.split(","));
  if (data.length > 0 && !data.includes("auto")) return data;
  context.addIssue({
    code: "custom",
    message: "expected devices with commas between them, such as cuda:0,cuda:1 or cpu,cuda",
  });
  return z.NEVER;
});

export const zipkinUrl = z
  .url({ protocol: /^https?$/, error: "expected a URL such as http://localhost:9411" })
  .transform((value) => {
    const url = new URL(value);
    // A bare collector address means its v2 endpoint, and so does that of a worker's own store.
    if (url.pathname === "/") url.pathname = "/api/v2/spans";
    else if (/^\/zipkin\/?$/.test(url.pathname)) url.pathname = "/zipkin/api/v2/spans";
    return url.href;
  });

const otlpUrl = z
  .url({ protocol: /^https?$/, error: "expected a URL such as http://localhost:4318" })
  .transform((value) => {
    const url = new URL(value);
    if (url.pathname === "/") url.pathname = "/v1/traces";
    return url.href;
  });

/** `k=v,k2=v2`, values percent-encoded, as OpenTelemetry has it (W3C Baggage without properties). */
const headers = z.string().transform((value, context): Readonly<Record<string, string>> => {
  const entries = value.split(",").filter((entry) => entry.trim() !== "");
  const found: Record<string, string> = {};
  for (const entry of entries) {
    const [, name, encoded] = /^\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(.*?)\s*$/.exec(entry) ?? [];
    const text = percentDecoded(encoded ?? "");
    // A header's value is visible text: a line break in it would be a header of its own.
    if (name === undefined || text === undefined || !/^[\t\x20-\x7e\x80-\xff]*$/.test(text)) {
      context.addIssue({
        code: "custom",
        message: "expected headers as name=value,name2=value2, values percent-encoded",
      });
      return z.NEVER;
    }
    found[name.toLowerCase()] = text;
  }
  return found;
});

function percentDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** Bytes; binary multiples, as Kubernetes and Docker read them. */
const bytes = (what: string) =>
  z
    .string()
    .regex(/^\d+(\.\d+)?[kmgt]?(i?b)?$/i, `expected ${what}`)
    .transform((value) => Math.floor(Number.parseFloat(value) * 1024 ** " kmgt".indexOf(unitOf(value))))
    .refine((count) => count >= 1024 ** 2, "expected at least 1M");
const SIZE_OR_AUTO = "auto, or a size such as 512M or 8G";
const size = z.union([z.literal("auto"), bytes(SIZE_OR_AUTO)], { error: `expected ${SIZE_OR_AUTO}` });

function unitOf(value: string): string {
  return /[kmgt]/i.exec(value)?.[0].toLowerCase() ?? " ";
}

export const positiveDuration = duration.refine((value) => value > 0, "expected more than 0");

export const oneOf = <const V extends readonly [string, ...string[]]>(...values: V) =>
  word.pipe(z.enum(values, { error: `expected one of ${values.join(", ")}` }));

/** Some of `values`, with commas between them. */
export const listOf = <const V extends readonly [string, ...string[]]>(...values: V) =>
  z
    .string()
    .transform((list) => list.split(","))
    .pipe(z.array(oneOf(...values)).transform((chosen) => [...new Set(chosen)]));

const YES = ["on", "true", "1", "yes"];
const NO = ["off", "false", "0", "no"];
/** Reads what people write into a variable that is on or off; undefined where it says neither. */
export function readSwitch(value: string): boolean | undefined {
  const said = value.trim().toLowerCase();
  if (YES.includes(said)) return true;
  return NO.includes(said) ? false : undefined;
}

const onOff = z.string().transform((value, context): "on" | "off" => {
  const on = readSwitch(value);
  if (on !== undefined) return on ? "on" : "off";
  context.addIssue({ code: "custom", message: "expected on or off" });
  return z.NEVER;
});

export const OPTIONS = {
  model: {
    flag: "model",
    value: "DIR|NAME",
    env: ["VITRINE_MODEL"],
    fallback: "tiny",
    schema: text,
    help: "model directory, or the name of one under models/",
  },
  host: {
    flag: "host",
    value: "ADDRESS",
    env: ["VITRINE_HOST"],
    fallback: "127.0.0.1",
    schema: text,
    help: "address to listen on",
  },
  port: {
    flag: "port",
    value: "PORT",
    env: ["VITRINE_PORT"],
    fallback: "8080",
    schema: integer(0, 65535, "a port from 0 to 65535"),
    help: "port to listen on; 0 takes a free one",
  },
  device: {
    flag: "device",
    value: "DEVICE",
    env: ["VITRINE_DEVICE"],
    fallback: "auto",
    schema: device,
    help: "auto, cpu, cuda or cuda:N; auto takes CUDA where it works",
  },
  devices: {
    flag: "devices",
    value: "LIST",
    env: ["VITRINE_DEVICES"],
    schema: devices.optional(),
    help: "instead of --device, one engine for each of these: cuda:0,cuda:1; requests go where their prompt is cached",
  },
  dtype: {
    flag: "dtype",
    value: "TYPE",
    env: ["VITRINE_DTYPE"],
    fallback: "auto",
    schema: oneOf("auto", "fp32", "fp16", "bf16", "q4", "q4f16", "int8", "uint8", "bnb4"),
    help: "which of the model's files: auto, fp32, fp16, bf16, q4, q4f16, int8, uint8 or bnb4",
  },
  runtime: {
    flag: "runtime",
    value: "RUNTIME",
    env: ["VITRINE_RUNTIME"],
    fallback: "auto",
    schema: oneOf("auto", "native", "node"),
    help: "auto, native (ONNX Runtime's C API) or node (onnxruntime-node); auto takes native where it can run the graph and, on a GPU, passes its rehearsal",
  },
  fastInt4: {
    flag: "no-fast-int4",
    value: "",
    env: ["VITRINE_FAST_INT4"],
    fallback: "on",
    schema: onOff,
    help: "run 4-bit models as the file says: no 8-bit activations, no 8-bit output head (in the environment: off)",
  },
  threads: {
    flag: "threads",
    value: "N",
    env: ["VITRINE_THREADS"],
    fallback: "0",
    schema: integer(0, 1024, "a number of threads from 0 to 1024"),
    help: "threads of one forward pass; 0 lets ONNX Runtime choose",
  },
  maxSequences: {
    flag: "max-sequences",
    value: "N",
    env: ["VITRINE_MAX_SEQUENCES"],
    fallback: "32",
    schema: integer(1, 1024, "a number from 1 to 1024"),
    help: "most requests that generate at once on a device",
  },
  kvMemory: {
    flag: "kv-memory",
    value: "SIZE",
    env: ["VITRINE_KV_MEMORY"],
    fallback: "auto",
    schema: size,
    help: "most memory of a device's KV cache, such as 512M or 8G; auto is a quarter of the machine's or what is free of it, and what --gpu-memory-utilization leaves of a GPU's",
  },
  gpuMemoryUtilization: {
    flag: "gpu-memory-utilization",
    value: "SHARE",
    env: ["VITRINE_GPU_MEMORY_UTILIZATION"],
    fallback: "0.9",
    schema: number("a share from 0.05 to 1").refine(
      (share) => share >= 0.05 && share <= 1,
      "expected a share from 0.05 to 1",
    ),
    help: "how much of a GPU's memory model and KV cache may fill, what other processes hold included",
  },
  prefillChunk: {
    flag: "prefill-chunk",
    value: "TOKENS",
    env: ["VITRINE_PREFILL_CHUNK"],
    fallback: "256",
    schema: integer(1, 65536, "a number of tokens from 1 to 65536"),
    help: "most prompt tokens in one step; running streams wait for one such step between two tokens",
  },
  targetTpot: {
    flag: "target-tpot",
    value: "DURATION",
    env: ["VITRINE_TARGET_TPOT"],
    schema: positiveDuration.optional(),
    help: "time between two tokens to hold, such as 50ms: smaller chunks and fewer requests at once where needed",
  },
  maxQueue: {
    flag: "max-queue",
    value: "N",
    env: ["VITRINE_MAX_QUEUE"],
    fallback: "256",
    schema: integer(0, 1_000_000, "a number from 0 to 1000000"),
    help: "most requests that wait; one more is refused with 429",
  },
  maxPerKey: {
    flag: "max-per-key",
    value: "N",
    env: ["VITRINE_MAX_PER_KEY"],
    fallback: "0",
    schema: integer(0, 1_000_000, "a number from 0 to 1000000"),
    help: "most answers of one API key that run or wait; one more is refused with 429; 0 is no limit",
  },
  prefixSalt: {
    flag: "prefix-salt",
    value: "key|none",
    env: ["VITRINE_PREFIX_SALT"],
    fallback: "key",
    schema: oneOf("key", "none"),
    help: "who shares cached prompts: requests with the same API key, or all",
  },
  requestTimeout: {
    flag: "request-timeout",
    value: "DURATION",
    env: ["VITRINE_REQUEST_TIMEOUT"],
    fallback: "5m",
    schema: positiveDuration,
    help: "longest time one request may take",
  },
  shutdownTimeout: {
    flag: "shutdown-timeout",
    value: "DURATION",
    env: ["VITRINE_SHUTDOWN_TIMEOUT"],
    fallback: "30s",
    schema: duration,
    help: "how long running requests may go on after SIGTERM",
  },
  zipkinEndpoint: {
    flag: "zipkin-endpoint",
    value: "URL",
    env: ["VITRINE_ZIPKIN_ENDPOINT", "ZIPKIN_ENDPOINT", "OTEL_EXPORTER_ZIPKIN_ENDPOINT"],
    schema: zipkinUrl,
    help: "Zipkin collector; http://host:9411 means its /api/v2/spans, http://worker:8080/zipkin the store of another worker",
  },
  zipkinEncoder: {
    flag: "zipkin-encoder",
    value: "ENCODER",
    env: ["VITRINE_ZIPKIN_ENCODER"],
    fallback: "json",
    schema: oneOf("json", "proto", "otel"),
    help: "Zipkin v2 json, proto (protobuf), or otel, the stock OpenTelemetry exporter, to compare with",
  },
  zipkinHeaders: {
    flag: "zipkin-headers",
    value: "LIST",
    env: ["VITRINE_ZIPKIN_HEADERS", "OTEL_EXPORTER_ZIPKIN_HEADERS"],
    secret: true,
    schema: headers.optional(),
    help: "headers of every POST to Zipkin: k=v,k2=v2, percent-encoded; better in the environment, where nobody lists them",
  },
  zipkinCa: {
    flag: "zipkin-ca",
    value: "FILE",
    env: ["VITRINE_ZIPKIN_CA", "OTEL_EXPORTER_ZIPKIN_CERTIFICATE"],
    schema: text.optional(),
    help: "PEM file of the authorities that Zipkin's certificate is checked against, instead of the system's",
  },
  zipkinCert: {
    flag: "zipkin-cert",
    value: "FILE",
    env: ["VITRINE_ZIPKIN_CERT", "OTEL_EXPORTER_ZIPKIN_CLIENT_CERTIFICATE"],
    schema: text.optional(),
    help: "PEM file of the client certificate shown to Zipkin; read again when it changes, as the other two",
  },
  zipkinKey: {
    flag: "zipkin-key",
    value: "FILE",
    env: ["VITRINE_ZIPKIN_KEY", "OTEL_EXPORTER_ZIPKIN_CLIENT_KEY"],
    schema: text.optional(),
    help: "PEM file of that certificate's private key",
  },
  otlpEndpoint: {
    flag: "otlp-endpoint",
    value: "URL",
    env: ["VITRINE_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"],
    schema: otlpUrl.optional(),
    help: "OTLP/HTTP collector, beside Zipkin or alone; http://host:4318 means its /v1/traces",
  },
  otlpHeaders: {
    flag: "otlp-headers",
    value: "LIST",
    env: ["VITRINE_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"],
    secret: true,
    schema: headers.optional(),
    help: "headers of every POST to the OTLP collector, as with --zipkin-headers",
  },
  traceSpool: {
    flag: "trace-spool",
    value: "DIR",
    env: ["VITRINE_TRACE_SPOOL"],
    schema: text.optional(),
    help: "directory, of this process alone, where spans wait while a collector takes none, over restarts too",
  },
  traceSpoolSize: {
    flag: "trace-spool-size",
    value: "SIZE",
    env: ["VITRINE_TRACE_SPOOL_SIZE"],
    fallback: "256M",
    schema: bytes("a size such as 256M or 2G"),
    help: "most that waits there for one collector, such as 256M or 2G; the oldest spans make room",
  },
  propagation: {
    flag: "propagation",
    value: "FORMATS",
    env: ["VITRINE_PROPAGATION", "OTEL_PROPAGATORS"],
    fallback: "b3multi",
    schema: listOf("b3multi", "b3", "w3c"),
    help: "trace headers to send: b3multi, b3 or w3c, or several such as b3multi,w3c; all are accepted",
  },
  sampleRate: {
    flag: "sample-rate",
    value: "SHARE",
    env: ["VITRINE_SAMPLE_RATE", "OTEL_TRACES_SAMPLER"],
    fallback: "1",
    schema: number("a share from 0 to 1").refine((value) => value <= 1, "expected a share from 0 to 1"),
    help: "share of traces kept, 0 to 1, where the caller did not decide",
  },
  sampleLimit: {
    flag: "sample-limit",
    value: "TRACES_PER_SECOND",
    env: ["VITRINE_SAMPLE_LIMIT"],
    schema: number("traces a second, such as 5 or 0.5")
      .refine((value) => value > 0, "expected more than 0")
      .optional(),
    help: "most traces a second that are so kept",
  },
  samplingRules: {
    flag: "sampling-rules",
    value: "FILE",
    env: ["VITRINE_SAMPLING_RULES"],
    schema: text.optional(),
    help: "JSON file of rates by API key, model, route and header; read again at SIGHUP",
  },
  keepFailed: {
    flag: "keep-failed",
    value: "on|off",
    env: ["VITRINE_KEEP_FAILED"],
    fallback: "on",
    schema: onOff,
    help: "keep traces that failed or were cancelled here, whatever the rate",
  },
  slowTtft: {
    flag: "slow-ttft",
    value: "DURATION",
    env: ["VITRINE_SLOW_TTFT"],
    schema: positiveDuration.optional(),
    help: "keep traces whose first token took longer, whatever the rate",
  },
  slowTotal: {
    flag: "slow-total",
    value: "DURATION",
    env: ["VITRINE_SLOW_TOTAL"],
    schema: positiveDuration.optional(),
    help: "keep traces of requests that took longer, whatever the rate",
  },
  adminPort: {
    flag: "admin-port",
    value: "PORT",
    env: ["VITRINE_ADMIN_PORT"],
    schema: integer(0, 65535, "a port from 0 to 65535").optional(),
    help: "port on 127.0.0.1 to read and change sampling at; without it there is none",
  },
  traceStore: {
    flag: "trace-store",
    value: "on|off",
    env: ["VITRINE_TRACE_STORE"],
    fallback: "on",
    schema: onOff,
    help: "keep the last traces in memory, served under /zipkin",
  },
  traceDetail: {
    flag: "trace-detail",
    value: "phase|step",
    env: ["VITRINE_TRACE_DETAIL"],
    fallback: "phase",
    schema: oneOf("phase", "step"),
    help: "step adds a trace for each step of the engine, naming the requests in it, which name their steps",
  },
  pricePerDeviceHour: {
    flag: "price-per-device-hour",
    value: "PRICE",
    env: ["VITRINE_PRICE_PER_DEVICE_HOUR"],
    schema: number("a price such as 2.5").optional(),
    help: "adds ai.cost.amount to spans: their share of device time at this price",
  },
  serviceName: {
    flag: "service-name",
    value: "NAME",
    env: ["VITRINE_SERVICE_NAME", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"],
    fallback: "vitrine",
    schema: text,
    help: "this service's name in traces",
  },
  logLevel: {
    flag: "log-level",
    value: "LEVEL",
    env: ["VITRINE_LOG_LEVEL", "LOG_LEVEL"],
    fallback: "info",
    schema: oneOf("fatal", "error", "warn", "info", "debug", "trace", "silent"),
    help: "fatal, error, warn, info, debug, trace or silent",
  },
  logFormat: {
    flag: "log-format",
    value: "json|ecs",
    env: ["VITRINE_LOG_FORMAT"],
    fallback: "json",
    schema: oneOf("json", "ecs"),
    help: "names of log fields: pino's and OpenTelemetry's, or Elastic's",
  },
  userHashKey: {
    value: "SECRET",
    env: ["VITRINE_USER_HASH_KEY"],
    schema: text.optional(),
    help: "key of user_id_hash and api_key_hash in spans; without it a new random one at each start",
  },
  userHashKeyPrevious: {
    value: "SECRET",
    env: ["VITRINE_USER_HASH_KEY_PREVIOUS"],
    schema: text.optional(),
    help: "the key before, while keys change: spans then have user_id_hash.previous and api_key_hash.previous, too",
  },
} as const satisfies Record<string, OptionRow>;

export type OptionName = keyof typeof OPTIONS;
