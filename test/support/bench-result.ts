/** Results as a benchmark leaves them, simulated: the same for the same seed. */
import { quantileSorted } from "simple-statistics";
import { seededRandom } from "../../models/tiny/random.js";
import { valuesOf } from "../../src/bench/metrics/values.js";
import type { BenchResult, Latency, LatencyName, LoadPoint, RequestRecord, Summary } from "../../src/bench/result.js";
import { TRACE_PARTS } from "../../src/bench/traces/request-parts.js";

export interface Simulation {
  readonly seed?: number;
  readonly concurrency?: number;
  readonly requests?: number;
  readonly repeats?: number;
  /** Everything takes this many times as long. */
  readonly slowness?: number;
  readonly failures?: number;
  readonly variant?: string;
}

/** Streams side by side, each sending when its last request has ended; gamma-like times, which depend on those before. */
export function simulatedRequests(simulation: Simulation = {}): RequestRecord[] {
  const { seed = 1, concurrency = 4, requests = 80, repeats = 2, slowness = 1, failures = 0 } = simulation;
  const random = seededRandom(seed);
  const waiting = (mean: number): number => -mean * Math.log(1 - random()) * slowness;
  const records: RequestRecord[] = [];
  let begin = 0;
  for (let repeat = 0; repeat < repeats; repeat++) {
    const free = Array.from({ length: concurrency }, () => begin);
    for (let index = 0; index < requests / repeats; index++) {
      const stream = free.indexOf(Math.min(...free));
      const intended = free[stream] ?? begin;
      const sent = intended + 0.05 + waiting(0.05);
      const firstToken = sent + 4 * slowness + waiting(2 + concurrency);
      const outputTokens = 8 + Math.floor(random() * 56);
      const gaps = Array.from({ length: outputTokens - 1 }, () => 0.8 * slowness + waiting(0.1 + concurrency / 40));
      const end = firstToken + gaps.reduce((sum, gap) => sum + gap, 0) + 0.2;
      free[stream] = end;
      const failed = random() < failures;
      const outcome: RequestRecord["outcome"] = failed
        ? { kind: "http", status: 429 }
        : { kind: "ok", finishReason: "stop" };
      const traceId = `${seed}${index}${repeat}`.padStart(32, "0");
      records.push({ traceId, repeat, intended, sent, firstToken, end, gaps, promptTokens: 40, outputTokens, outcome });
    }
    begin = Math.max(...free) + 20;
  }
  return records;
}

export function simulatedPoint(simulation: Simulation = {}): LoadPoint {
  const { concurrency = 4, variant } = simulation;
  const requests = simulatedRequests(simulation);
  const durationMs = durationOf(requests);
  return {
    name: variant === undefined ? `concurrency ${concurrency}` : `concurrency ${concurrency}, ${variant}`,
    ...(variant === undefined ? {} : { variant }),
    load: { kind: "closed", concurrency },
    durationMs,
    requests,
    summary: summaryOf(requests, durationMs),
    traces: {
      sent: requests.length,
      complete: requests.length - 1,
      missing: [requests[0]?.traceId ?? ""],
      orphans: 0,
      coverage: { min: 0.991, median: 0.998 },
      ttft: partsLike(concurrency, 0),
      e2e: partsLike(concurrency, 30),
      slowest: requests.slice(0, 10).map(({ traceId = "", intended, end }) => ({ traceId, e2e: end - intended })),
    },
  };
}

export function simulatedResult(...simulations: readonly Simulation[]): BenchResult {
  const points = (simulations.length === 0 ? [{}] : simulations).map(simulatedPoint);
  return {
    version: 1,
    command: "vitrine bench --url http://127.0.0.1:8080 --concurrency 1,4,16 --requests 80",
    startedAt: "2026-11-22T20:00:00.000Z",
    machine: { cpu: "Test <CPU> & Co", cores: 2, memoryBytes: 8 * 2 ** 30, platform: "linux", node: "v20.20.2" },
    target: { url: "http://127.0.0.1:8080/v1", model: "tiny", server: "vitrine/0.1.0" },
    slos: [{ metric: "ttft", limitMs: 20 }],
    points,
  };
}

/** All repeats together. */
function durationOf(records: readonly RequestRecord[]): number {
  const repeats = new Map<number, RequestRecord[]>();
  for (const record of records) repeats.set(record.repeat, [...(repeats.get(record.repeat) ?? []), record]);
  const lengths = [...repeats.values()].map(
    (own) => Math.max(...own.map(({ end }) => end)) - Math.min(...own.map(({ intended }) => intended)),
  );
  return lengths.reduce((sum, length) => sum + length, 0);
}

function summaryOf(requests: readonly RequestRecord[], durationMs: number): Summary {
  const good = requests.filter(({ outcome }) => outcome.kind === "ok");
  const rate = (amount: number) => ({ value: amount / (durationMs / 1e3) });
  const sum = (read: (record: RequestRecord) => number): number => good.reduce((total, one) => total + read(one), 0);
  const failed = requests.length - good.length;
  const names: readonly LatencyName[] = ["ttft", "tpot", "itl", "e2e", "queue"];
  return {
    requests: requests.length,
    ok: good.length,
    cancelled: 0,
    errors: failed === 0 ? {} : { "http 429": failed },
    requestsPerSecond: rate(good.length),
    inputTokensPerSecond: rate(sum(({ promptTokens = 0 }) => promptTokens)),
    outputTokensPerSecond: rate(sum(({ outputTokens = 0 }) => outputTokens)),
    latencies: Object.fromEntries(names.map((name) => [name, latencyOf(good.flatMap((one) => valuesOf(one, name)))])),
  };
}

function latencyOf(values: readonly number[]): Latency {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => {
    const value = quantileSorted(sorted, share);
    return { value, low: value * 0.95, high: value * 1.06 };
  };
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    count: values.length,
    mean,
    p50: at(0.5),
    p90: at(0.9),
    p95: at(0.95),
    p99: at(0.99),
    max: sorted.at(-1) ?? 0,
  };
}

function partsLike(concurrency: number, decode: number) {
  const own: Readonly<Record<string, number>> = {
    network: 0.6,
    queue: concurrency / 2,
    tokenize: 0.4,
    kv_allocate: 0.1,
    prefill: 3,
    decode: decode * (1 + concurrency / 10),
    write: 0.5,
    other: 0.2,
  };
  return Object.fromEntries(TRACE_PARTS.map((part) => [part, own[part] ?? 0])) as Record<
    (typeof TRACE_PARTS)[number],
    number
  >;
}
