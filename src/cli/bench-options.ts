/** The one table of `vitrine bench`'s options, in the form of the server's. */
import { z } from "zod";
import { LENGTHS_HELP } from "../bench/load/lengths.js";
import { check, settingOf } from "../config.js";
import {
  duration,
  integer,
  listOf,
  number,
  type OptionRow,
  oneOf,
  positiveDuration,
  text,
  zipkinUrl,
} from "../options.js";
import { ab, address, count, jsonObject, lengths, list, positive, rate, sloSetting, span } from "./bench-values.js";

export const BENCH_OPTIONS = {
  url: {
    flag: "url",
    value: "BASE",
    env: [],
    schema: address.optional(),
    help: "address of the target, with or without /v1",
  },
  model: {
    flag: "model",
    value: "ID",
    env: [],
    schema: text.optional(),
    help: "model to ask for; without it the first that the target lists",
  },
  api: {
    flag: "api",
    value: "chat|completions",
    env: [],
    fallback: "chat",
    schema: oneOf("chat", "completions"),
    help: "route to ask",
  },
  apiKey: {
    flag: "api-key",
    value: "KEY",
    env: ["OPENAI_API_KEY"],
    secret: true,
    schema: text.optional(),
    help: "sent as a bearer token, kept nowhere; better in the environment, where nobody lists it",
  },
  requests: {
    flag: "requests",
    value: "N",
    env: [],
    schema: count(1).optional(),
    help: "how many requests each repeat of a load sends; 100 where neither this nor --duration is given",
  },
  duration: {
    flag: "duration",
    value: "DURATION",
    env: [],
    schema: span.pipe(positiveDuration).optional(),
    help: "or for how long it begins new ones; those under way then are finished",
  },
  concurrency: {
    flag: "concurrency",
    value: "LIST",
    env: [],
    schema: list(count(1)).optional(),
    help: "closed loop of so many users, each of whom sends when the answer before is complete; 1,4,16 measures one after the other (default 1)",
  },
  rate: {
    flag: "rate",
    value: "LIST",
    env: [],
    schema: list(rate).optional(),
    help: "open loop of so many requests a second, whatever becomes of them; 1,5,10 measures one after the other, 1..20 rises over the run",
  },
  arrivals: {
    flag: "arrivals",
    value: "gamma|constant",
    env: [],
    fallback: "gamma",
    schema: oneOf("gamma", "constant"),
    help: "gaps of an open loop",
  },
  burstiness: {
    flag: "burstiness",
    value: "SHAPE",
    env: [],
    fallback: "1",
    schema: positive,
    help: "shape of the gaps' gamma distribution: 1 is Poisson, less has more bursts, more is more even",
  },
  replay: {
    flag: "replay",
    value: "FILE",
    env: [],
    schema: text.optional(),
    help: "open loop of a JSONL file whose lines have a timestamp in milliseconds, and a prompt or input_length and output_length",
  },
  maxConcurrency: {
    flag: "max-concurrency",
    value: "N",
    env: [],
    schema: count(1).optional(),
    help: "most requests of an open loop at once; others wait here, and their latency counts on",
  },
  repeats: {
    flag: "repeats",
    value: "N",
    env: [],
    schema: integer(1, 999, "a number from 1 to 999").optional(),
    help: "how often each load is measured, for confidence intervals (default 1; with --ab 4)",
  },
  warmup: {
    flag: "warmup",
    value: "N",
    env: [],
    fallback: "1",
    schema: count(0),
    help: "requests before each load that are not counted",
  },
  prompts: {
    flag: "prompts",
    value: "synthetic|grammar|FILE",
    env: [],
    fallback: "synthetic",
    schema: text,
    help: "random words, the shipped model's stories and questions, or a JSONL file whose lines have prompt, turns or messages",
  },
  promptTokens: {
    flag: "prompt-tokens",
    value: "LENGTHS",
    env: [],
    fallback: "128",
    schema: lengths,
    help: `lengths of synthetic prompts: ${LENGTHS_HELP}`,
  },
  tokenizer: {
    flag: "tokenizer",
    value: "DIR|NAME",
    env: [],
    schema: text.optional(),
    help: "model directory whose tokenizer counts prompts; without it their lengths are words",
  },
  maxTokens: {
    flag: "max-tokens",
    value: "LENGTHS",
    env: [],
    fallback: "128",
    schema: lengths,
    help: "most tokens of an answer, as --prompt-tokens",
  },
  ignoreEos: {
    flag: "ignore-eos",
    value: "",
    env: [],
    schema: z.literal("on").optional(),
    help: "ask for answers of exactly that length, where the target can",
  },
  turns: {
    flag: "turns",
    value: "N",
    env: [],
    fallback: "1",
    schema: count(1),
    help: "requests of a chat, each with the answers before it",
  },
  thinkTime: {
    flag: "think-time",
    value: "DURATION",
    env: [],
    fallback: "0ms",
    schema: duration,
    help: "time from an answer to the next turn of a chat",
  },
  sharedPrefix: {
    flag: "shared-prefix",
    value: "TOKENS",
    env: [],
    fallback: "0",
    schema: count(0),
    help: "length of a synthetic system prompt that all chats share",
  },
  cancelRate: {
    flag: "cancel-rate",
    value: "SHARE",
    env: [],
    fallback: "0",
    schema: number("a share from 0 to 1").refine((value) => value <= 1, "expected a share from 0 to 1"),
    help: "share of requests that are cancelled, at a moment drawn evenly from",
  },
  cancelAfter: {
    flag: "cancel-after",
    value: "DURATION",
    env: [],
    fallback: "2s",
    schema: positiveDuration,
    help: "so long after they are sent; those complete by then are not",
  },
  temperature: {
    flag: "temperature",
    value: "T",
    env: [],
    schema: number("a number from 0").optional(),
    help: "without it the target's own",
  },
  stream: {
    flag: "no-stream",
    value: "",
    env: [],
    fallback: "on",
    schema: oneOf("on", "off"),
    help: "ask for whole answers: there are no TTFT, TPOT and ITL then",
  },
  body: {
    flag: "body",
    value: "JSON",
    env: [],
    fallback: "{}",
    schema: jsonObject,
    help: "further fields of each request",
  },
  timeout: {
    flag: "timeout",
    value: "DURATION",
    env: [],
    fallback: "5m",
    schema: positiveDuration,
    help: "longest time one request may take",
  },
  slo: {
    flag: "slo",
    value: "LIMIT",
    env: [],
    fallback: "",
    schema: z
      .string()
      .transform((value) => value.split(",").filter((each) => each !== ""))
      .pipe(z.array(sloSetting)),
    help: "a request is good when it keeps every limit: ttft:200ms, tpot:50ms; repeatable",
  },
  seed: {
    flag: "seed",
    value: "N",
    env: [],
    fallback: "1",
    schema: count(0),
    help: "the same seed, the same prompts and arrivals",
  },
  zipkinEndpoint: {
    flag: "zipkin-endpoint",
    value: "URL",
    env: ["ZIPKIN_ENDPOINT"],
    schema: zipkinUrl.optional(),
    help: "Zipkin collector of the spans of this program's requests",
  },
  propagation: {
    flag: "propagation",
    value: "FORMATS",
    env: [],
    fallback: "b3multi",
    schema: z.union([oneOf("none").transform(() => []), listOf("b3multi", "b3", "w3c")], {
      error: "expected none, or some of b3multi, b3, w3c",
    }),
    help: "trace headers to send: none, b3multi, b3 or w3c, or several",
  },
  ab: {
    flag: "ab",
    value: "FLAG=A,B",
    env: [],
    schema: ab.optional(),
    help: "instead of --url: starts `vitrine serve` twice, with this flag as A and as B (or tracing=off,on), and compares the two in one run; flags of both after --",
  },
  json: { flag: "json", value: "FILE", env: [], schema: text.optional(), help: "write the whole result there" },
  csv: { flag: "csv", value: "FILE", env: [], schema: text.optional(), help: "write a row for each request there" },
  html: {
    flag: "html",
    value: "FILE",
    env: [],
    schema: text.optional(),
    help: "write a report with plots there, one page that needs no network",
  },
  svg: {
    flag: "svg",
    value: "FILE",
    env: [],
    schema: text.optional(),
    help: "write its plots of latency against load there, as one picture",
  },
} as const satisfies Record<string, OptionRow>;

export type BenchOptionName = keyof typeof BENCH_OPTIONS;
export type BenchSettings = { readonly [K in BenchOptionName]: z.output<(typeof BENCH_OPTIONS)[K]["schema"]> };

/** Throws VitrineError `config_invalid` that names the option. */
export function benchSettings(flags: Record<string, unknown>, env: NodeJS.ProcessEnv): BenchSettings {
  const values: Record<string, unknown> = {};
  for (const [name, row] of Object.entries(BENCH_OPTIONS) as [BenchOptionName, OptionRow][]) {
    const setting = settingOf(row, flagText(flags[name]), env);
    values[name] = setting === undefined ? undefined : check(row, setting);
  }
  return Object.freeze(values) as unknown as BenchSettings;
}

/** A switch is true where it was given, and true until `--no-…` turns it off. A repeated flag is a list. */
function flagText(value: unknown): string | undefined {
  if (Array.isArray(value)) return value.join(",");
  if (typeof value === "boolean") return value ? "on" : "off";
  return typeof value === "string" ? value : undefined;
}
