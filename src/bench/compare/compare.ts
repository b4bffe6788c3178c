import { probit } from "simple-statistics";
import type { BenchResult, LoadPoint } from "../result.js";
import { logError } from "./block-bootstrap.js";
import { type Series, seriesOf } from "./series.js";

/** One metric of one load, B over A. */
export interface Difference {
  readonly load: string;
  readonly metric: string;
  readonly better: Series["better"];
  readonly a: number;
  readonly b: number;
  /** Of B over A, with its 95 % confidence interval, taken by itself. */
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
  readonly verdict: Verdict;
}

/**
 * `better` and `worse` are differences that would be found by chance in fewer than one of 20 whole comparisons, all metrics
 * and loads of it together; `unclear` is outside of its own interval, as one in 20 is by chance.
 */
export type Verdict = "same" | "unclear" | "better" | "worse";

export interface Comparison {
  readonly differences: readonly Difference[];
  /** In what the two runs differ besides, a sentence each. */
  readonly notes: readonly string[];
  /** Loads that only one of them has. */
  readonly unmatched: readonly string[];
}

const ERROR_RATE = 0.05;

/** Compares the loads that both have; what differs between the runs apart from the numbers is noted. */
export function compareResults(a: BenchResult, b: BenchResult, random: () => number): Comparison {
  const pairs = pairsOf(a.points, b.points);
  const matched = pairs.flatMap(([one, other]) => pairSeries(one, other));
  const differences = matched.map(({ load, one, other }) => {
    return differenceOf(load, one, other, matched.length, random);
  });
  const inPairs = new Set(pairs.flat());
  const unmatched = [...a.points, ...b.points].filter((point) => !inPairs.has(point)).map(({ name }) => name);
  return { differences, notes: notesOf(a, b, pairs), unmatched };
}

type Pair = readonly [LoadPoint, LoadPoint];

const loadKey = ({ load, variant }: LoadPoint): string => JSON.stringify([Object.entries(load).sort(), variant]);

function pairsOf(a: readonly LoadPoint[], b: readonly LoadPoint[]): Pair[] {
  const others = new Map(b.map((point) => [loadKey(point), point]));
  return a.flatMap((point) => {
    const other = others.get(loadKey(point));
    return other === undefined ? [] : [[point, other] as const];
  });
}

function pairSeries(a: LoadPoint, b: LoadPoint) {
  const others = new Map(seriesOf(b).map((series) => [series.metric, series]));
  return seriesOf(a).flatMap((one) => {
    const other = others.get(one.metric);
    // Where nothing failed on either side there is nothing to compare.
    if (other === undefined || [one, other].every(({ shown, repeats }) => shown?.(repeats.flat()) === 0)) return [];
    return [{ load: a.name, one, other }];
  });
}

function differenceOf(load: string, one: Series, other: Series, tests: number, random: () => number): Difference {
  const [a, b] = [one, other].map(({ repeats, statistic, shown = statistic }) => shown(repeats.flat()));
  const log = Math.log(other.statistic(other.repeats.flat()) / one.statistic(one.repeats.flat()));
  const error = Math.hypot(logError(one, random), logError(other, random));
  const half = probit(1 - ERROR_RATE / 2) * error;
  const { metric, better } = one;
  const shown = {
    load,
    metric,
    better,
    a: a ?? 0,
    b: b ?? 0,
    ratio: Math.exp(log),
    low: Math.exp(log - half),
    high: Math.exp(log + half),
  };
  return { ...shown, verdict: verdictOf(log, error, better, tests) };
}

/** Bonferroni's correction: the chance of one false verdict is shared out among all. */
function verdictOf(log: number, error: number, better: Series["better"], tests: number): Verdict {
  if (!(Math.abs(log) > probit(1 - ERROR_RATE / 2) * error)) return "same";
  if (!(Math.abs(log) > probit(1 - ERROR_RATE / tests / 2) * error)) return "unclear";
  return log < 0 === (better === "less") ? "better" : "worse";
}

/** Lengths that differ by more than this are another load. */
const SAME_LENGTH = 0.05;

function notesOf(a: BenchResult, b: BenchResult, pairs: readonly Pair[]): string[] {
  const differs = (what: string, one: string | undefined, other: string | undefined): string[] =>
    one === other ? [] : [`The ${what} differ: ${one ?? "unknown"}, and ${other ?? "unknown"}.`];
  const machine = ({ machine: { cpu, cores } }: BenchResult): string => `${cores} × ${cpu}`;
  return [
    ...differs("models", a.target.model, b.target.model),
    ...differs("machines", machine(a), machine(b)),
    ...differs("servers", a.target.server, b.target.server),
    ...pairs.flatMap(([one, other]) => lengthNotes(one, other)),
  ];
}

function lengthNotes(a: LoadPoint, b: LoadPoint): string[] {
  return (["promptTokens", "outputTokens"] as const).flatMap((field) => {
    const [one, other] = [meanOf(a, field), meanOf(b, field)];
    if (!(Math.abs(Math.log(one / other)) > Math.log1p(SAME_LENGTH))) return [];
    const what = field === "promptTokens" ? "prompts" : "answers";
    return [`${a.name}: the ${what} differ, ${one.toFixed(0)} and ${other.toFixed(0)} tokens on average.`];
  });
}

function meanOf({ requests }: LoadPoint, field: "promptTokens" | "outputTokens"): number {
  const values = requests.flatMap((record) => record[field] ?? []);
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
