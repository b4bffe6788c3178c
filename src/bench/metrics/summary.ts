/** From the records of a load point to its summary: a pure function, so that a result can be checked by its own records. */

import { failureOf } from "../client/failure.js";
import type { Estimate, Latency, LatencyName, RequestRecord, Slo, Summary } from "../result.js";
import { estimate } from "./estimate.js";
import { latenciesOf, meets } from "./latencies.js";
import { LatencyHistogram } from "./latency-histogram.js";

const NAMES: readonly LatencyName[] = ["ttft", "tpot", "itl", "e2e", "queue"];
type Histograms = Readonly<Record<LatencyName, LatencyHistogram>>;

/** One repeat, measured. */
export interface RepeatMeasures {
  readonly seconds: number;
  readonly ok: readonly RequestRecord[];
  readonly histograms: Histograms;
}

export function summarize(records: readonly RequestRecord[], slos: readonly Slo[]): Summary {
  const repeats = repeatsOf(records).map(measure);
  const perSecond = (of: (repeat: RepeatMeasures) => number): Estimate =>
    estimate(repeats.map((repeat) => (repeat.seconds === 0 ? 0 : of(repeat) / repeat.seconds)));
  const total = (values: readonly (number | undefined)[]): number =>
    values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
  return {
    requests: records.length,
    ok: records.filter(({ outcome }) => outcome.kind === "ok").length,
    cancelled: records.filter(({ outcome }) => outcome.kind === "cancelled").length,
    errors: countFailures(records),
    requestsPerSecond: perSecond(({ ok }) => ok.length),
    inputTokensPerSecond: perSecond(({ ok }) => total(ok.map(({ promptTokens }) => promptTokens))),
    outputTokensPerSecond: perSecond(({ ok }) => total(ok.map(({ outputTokens }) => outputTokens))),
    ...(slos.length === 0 ? {} : { goodput: perSecond(({ ok }) => ok.filter((each) => meets(each, slos)).length) }),
    latencies: Object.fromEntries(
      NAMES.flatMap((name) => {
        const latency = latencyOf(repeats.map(({ histograms }) => histograms[name]));
        return latency === undefined ? [] : [[name, latency]];
      }),
    ),
  };
}

/** The records of each repeat, in their order. */
export function repeatsOf(records: readonly RequestRecord[]): RequestRecord[][] {
  const repeats = new Map<number, RequestRecord[]>();
  for (const record of records) {
    const own = repeats.get(record.repeat);
    if (own === undefined) repeats.set(record.repeat, [record]);
    else own.push(record);
  }
  return [...repeats].sort(([a], [b]) => a - b).map(([, own]) => own);
}

/** Milliseconds of all repeats together. */
export function durationOf(records: readonly RequestRecord[]): number {
  return repeatsOf(records).reduce((sum, repeat) => sum + measure(repeat).seconds * 1e3, 0);
}

/** A repeat lasts from when its first request was due until its last one ended. */
export function measure(records: readonly RequestRecord[]): RepeatMeasures {
  const begin = records.reduce((least, { intended }) => Math.min(least, intended), Number.POSITIVE_INFINITY);
  const end = records.reduce((most, record) => Math.max(most, record.end), begin);
  const ok = records.filter(({ outcome }) => outcome.kind === "ok");
  const histograms = Object.fromEntries(NAMES.map((name) => [name, new LatencyHistogram()])) as unknown as Histograms;
  for (const record of ok) {
    for (const [name, value] of Object.entries(latenciesOf(record))) histograms[name as LatencyName].add(value);
    for (const gap of record.gaps) histograms.itl.add(gap);
  }
  return { seconds: (end - begin) / 1e3, ok, histograms };
}

function latencyOf(repeats: readonly LatencyHistogram[]): Latency | undefined {
  const filled = repeats.filter(({ count }) => count > 0);
  if (filled.length === 0) return undefined;
  const count = filled.reduce((sum, each) => sum + each.count, 0);
  const at = (percent: number): Estimate => estimate(filled.map((each) => each.percentile(percent)));
  return {
    count,
    mean: filled.reduce((sum, each) => sum + each.sum, 0) / count,
    p50: at(50),
    p90: at(90),
    p95: at(95),
    p99: at(99),
    max: Math.max(...filled.map(({ max }) => max)),
  };
}

function countFailures(records: readonly RequestRecord[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { outcome } of records) {
    const failure = failureOf(outcome);
    if (failure !== undefined) counts[failure] = (counts[failure] ?? 0) + 1;
  }
  return counts;
}
