import { quantileSorted } from "simple-statistics";
import { valuesOf } from "../metrics/values.js";
import type { LatencyName, LoadPoint, RequestRecord } from "../result.js";

/** What is compared of a load: values in the order they came, a list for each repeat, and what they come to. */
export interface Series {
  readonly metric: string;
  /** Whether more of it is better. */
  readonly better: "less" | "more";
  readonly repeats: readonly (readonly number[])[];
  /** Of all values together; above 0. */
  readonly statistic: (values: readonly number[]) => number;
  /** What is shown of it, where that is another value. */
  readonly shown?: (values: readonly number[]) => number;
}

const NAMES: readonly LatencyName[] = ["ttft", "tpot", "itl", "e2e"];
const QUANTILES = [0.5, 0.99] as const;
/** Values beyond a quantile before it is more than the largest few by another name. */
const TAIL = 5;
/** A repeat is cut into as many equal times for what is counted by the second. */
const WINDOWS = 20;

/** All that a load's requests say; a quantile only where there are values enough to know it. */
export function seriesOf(point: LoadPoint): Series[] {
  const repeats = groupRepeats(point.requests);
  const latencies = NAMES.flatMap((name) => {
    const values = repeats.map((records) => records.filter(isOk).flatMap((record) => requestValue(record, name)));
    const amount = values.reduce((sum, own) => sum + own.length, 0);
    return QUANTILES.filter((q) => amount * (1 - q) >= TAIL).map((q): Series => {
      return { metric: `${name} p${q * 100}`, better: "less", repeats: values, statistic: quantileOf(q) };
    });
  });
  const throughput = (metric: string, read: (record: RequestRecord) => number): Series => ({
    metric,
    better: "more",
    repeats: repeats.map((records) => windows(records, read)),
    statistic: mean,
  });
  return [
    ...latencies,
    throughput("requests/s", () => 1),
    throughput("output tokens/s", ({ outputTokens = 0 }) => outputTokens),
    {
      metric: "failed share",
      better: "less",
      repeats: repeats.map((records) => records.filter(notCancelled).map((record) => (isOk(record) ? 0 : 1))),
      // Half a failure more than there were, so that none can be compared with some.
      statistic: (values) => (values.reduce((sum, value) => sum + value, 0) + 0.5) / (values.length + 1),
      shown: mean,
    },
  ];
}

const isOk = ({ outcome }: RequestRecord): boolean => outcome.kind === "ok";
const notCancelled = ({ outcome }: RequestRecord): boolean => outcome.kind !== "cancelled";

/** One value a request: gaps of one request are no independent values, so their mean stands for them. */
function requestValue(record: RequestRecord, name: LatencyName): readonly number[] {
  const values = valuesOf(record, name);
  return values.length > 1 ? [mean(values)] : values;
}

function groupRepeats(requests: readonly RequestRecord[]): RequestRecord[][] {
  const repeats = new Map<number, RequestRecord[]>();
  for (const record of [...requests].sort((a, b) => a.intended - b.intended)) {
    const own = repeats.get(record.repeat);
    if (own === undefined) repeats.set(record.repeat, [record]);
    else own.push(record);
  }
  return [...repeats.values()];
}

/** What ended in each of the equal times of a repeat, by the second. */
function windows(records: readonly RequestRecord[], read: (record: RequestRecord) => number): number[] {
  const start = Math.min(...records.map(({ intended }) => intended));
  const length = Math.max(1e-6, Math.max(...records.map(({ end }) => end)) - start) / WINDOWS;
  const sums = Array.from({ length: WINDOWS }, () => 0);
  for (const record of records.filter(isOk)) {
    const window = Math.min(WINDOWS - 1, Math.floor((record.end - start) / length));
    sums[window] = (sums[window] ?? 0) + read(record);
  }
  return sums.map((sum) => sum / (length / 1e3));
}

function quantileOf(q: number): Series["statistic"] {
  return (values) =>
    quantileSorted(
      [...values].sort((a, b) => a - b),
      q,
    );
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
