/**
 * The one table of options: each row is a command-line flag, its environment names, its default and its check.
 * `vitrine --help`, the README's table and `loadConfig` all come from it. Flag beats environment beats default.
 */
import { z } from "zod";

const port = z.coerce.number().int().min(0).max(65535);
const count = z.coerce.number().int().min(1);
const milliseconds = z
  .string()
  .regex(/^\d+(\.\d+)?(ms|s|m)?$/, "expected a duration such as 500ms, 30s or 2m")
  .transform((text) => {
    const value = Number.parseFloat(text);
    if (text.endsWith("ms")) return value;
    return value * (text.endsWith("m") ? 60_000 : 1000);
  });
const zipkinUrl = z
  .url({ protocol: /^https?$/, error: "expected an http:// or https:// URL, such as http://localhost:9411" })
  .transform((text) => {
    const url = new URL(text);
    // A bare collector address means its v2 endpoint.
    if (url.pathname === "/" || url.pathname === "") url.pathname = "/api/v2/spans";
    return url.href;
  });

export interface OptionRow {
  /** Long flag without dashes; undefined for what may only come from the environment (secrets). */
  readonly flag?: string;
  /** Placeholder of the value in help. */
  readonly value: string;
  /** Environment names, first found wins. */
  readonly env: readonly string[];
  readonly fallback: string | undefined;
  readonly check: z.ZodType<unknown, string>;
  readonly help: string;
}

const row = <T>(
  option: Omit<OptionRow, "check"> & { readonly check: z.ZodType<T, string> },
): Omit<OptionRow, "check"> & { readonly check: z.ZodType<T, string> } => option;

const text = z.string().min(1) as z.ZodType<string, string>;
const oneOf = <const V extends readonly [string, ...string[]]>(values: V): z.ZodType<V[number], string> =>
  z.enum(values as unknown as [string, ...string[]]) as unknown as z.ZodType<V[number], string>;

export const OPTIONS = {
  model: row({
    flag: "model",
    value: "DIR|NAME",
    env: ["VITRINE_MODEL"],
    fallback: "tiny",
    check: text,
    help: "model directory, or the name of one under models/",
  }),
  host: row({
    flag: "host",
    value: "ADDRESS",
    env: ["VITRINE_HOST"],
    fallback: "127.0.0.1",
    check: text,
    help: "address to listen on",
  }),
  port: row({
    flag: "port",
    value: "PORT",
    env: ["VITRINE_PORT"],
    fallback: "8080",
    check: port as z.ZodType<number, string>,
    help: "port to listen on; 0 takes a free one",
  }),
  device: row({
    flag: "device",
    value: "auto|cpu|cuda[:N]",
    env: ["VITRINE_DEVICE"],
    fallback: "auto",
    check: z.string().regex(/^(auto|cpu|cuda(:\d+)?)$/, "expected auto, cpu, cuda or cuda:N") as unknown as z.ZodType<
      "auto" | "cpu" | "cuda" | `cuda:${number}`,
      string
    >,
    help: "where the model runs; auto takes CUDA where it works, else the CPU",
  }),
  dtype: row({
    flag: "dtype",
    value: "TYPE",
    env: ["VITRINE_DTYPE"],
    fallback: "auto",
    check: oneOf(["auto", "fp32", "fp16", "q4", "q4f16", "int8"]),
    help: "which of the model's files: auto, fp32, fp16, q4, q4f16, int8",
  }),
  threads: row({
    flag: "threads",
    value: "N",
    env: ["VITRINE_THREADS"],
    fallback: "0",
    check: z.coerce.number().int().min(0).max(1024) as unknown as z.ZodType<number, string>,
    help: "threads of one forward pass; 0 lets ONNX Runtime choose",
  }),
  maxSequences: row({
    flag: "max-sequences",
    value: "N",
    env: ["VITRINE_MAX_SEQUENCES"],
    fallback: "32",
    check: count as unknown as z.ZodType<number, string>,
    help: "most requests that generate at once",
  }),
  maxQueue: row({
    flag: "max-queue",
    value: "N",
    env: ["VITRINE_MAX_QUEUE"],
    fallback: "256",
    check: z.coerce.number().int().min(0) as unknown as z.ZodType<number, string>,
    help: "most requests that wait; one more is refused with 429",
  }),
  requestTimeout: row({
    flag: "request-timeout",
    value: "DURATION",
    env: ["VITRINE_REQUEST_TIMEOUT"],
    fallback: "5m",
    check: milliseconds,
    help: "longest time a request may take",
  }),
  shutdownTimeout: row({
    flag: "shutdown-timeout",
    value: "DURATION",
    env: ["VITRINE_SHUTDOWN_TIMEOUT"],
    fallback: "30s",
    check: milliseconds,
    help: "how long running requests may go on after SIGTERM",
  }),
  zipkinEndpoint: row({
    flag: "zipkin-endpoint",
    value: "URL",
    env: ["VITRINE_ZIPKIN_ENDPOINT", "ZIPKIN_ENDPOINT", "OTEL_EXPORTER_ZIPKIN_ENDPOINT"],
    fallback: undefined,
    check: zipkinUrl,
    help: "Zipkin collector; http://host:9411 means its /api/v2/spans",
  }),
  propagation: row({
    flag: "propagation",
    value: "b3multi|b3|w3c",
    env: ["VITRINE_PROPAGATION"],
    fallback: "b3multi",
    check: oneOf(["b3multi", "b3", "w3c"]),
    help: "trace headers to send; all are accepted",
  }),
  sampleRate: row({
    flag: "sample-rate",
    value: "0..1",
    env: ["VITRINE_SAMPLE_RATE"],
    fallback: "1",
    check: z.coerce.number().min(0).max(1) as unknown as z.ZodType<number, string>,
    help: "share of traces kept where the caller did not decide",
  }),
  traceStore: row({
    flag: "trace-store",
    value: "on|off",
    env: ["VITRINE_TRACE_STORE"],
    fallback: "on",
    check: oneOf(["on", "off"]),
    help: "keep the last traces in memory, served under /zipkin",
  }),
  traceDetail: row({
    flag: "trace-detail",
    value: "phase|step",
    env: ["VITRINE_TRACE_DETAIL"],
    fallback: "phase",
    check: oneOf(["phase", "step"]),
    help: "one span for all decode steps, or one a step",
  }),
  serviceName: row({
    flag: "service-name",
    value: "NAME",
    env: ["VITRINE_SERVICE_NAME", "OTEL_SERVICE_NAME"],
    fallback: "vitrine",
    check: text,
    help: "this service's name in traces",
  }),
  logLevel: row({
    flag: "log-level",
    value: "LEVEL",
    env: ["VITRINE_LOG_LEVEL", "LOG_LEVEL"],
    fallback: "info",
    check: oneOf(["fatal", "error", "warn", "info", "debug", "trace", "silent"]),
    help: "fatal, error, warn, info, debug, trace or silent",
  }),
  userHashKey: row({
    value: "SECRET",
    env: ["VITRINE_USER_HASH_KEY"],
    fallback: undefined,
    check: text,
    help: "key of user_id_hash; without it a random one for each start",
  }),
} as const;
