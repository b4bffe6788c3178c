import { sampleStandardDeviation } from "simple-statistics";
import type { Series } from "./series.js";

/** Enough for a standard error that is right to a twentieth. */
const RESAMPLES = 250;

/**
 * Standard error of the logarithm of a series' statistic, by the circular block bootstrap (Politis and Romano, 1992): blocks
 * of neighbours are drawn with replacement, within each repeat, because requests that follow each other share queues and
 * batches and are not independent. Zero where nothing varies.
 */
export function logError({ repeats, statistic }: Series, random: () => number): number {
  const filled = repeats.filter((values) => values.length > 0);
  const draws = Array.from({ length: RESAMPLES }, () => {
    return Math.log(statistic(filled.flatMap((values) => resample(values, random))));
  });
  const error = sampleStandardDeviation(draws);
  // All draws alike differ by rounding only.
  return error < 1e-12 ? 0 : error;
}

/** As many values, in blocks of the cube root of their number. */
function resample(values: readonly number[], random: () => number): number[] {
  const length = Math.max(1, Math.round(Math.cbrt(values.length)));
  const drawn: number[] = [];
  while (drawn.length < values.length) {
    const start = Math.floor(random() * values.length);
    for (let i = 0; i < length && drawn.length < values.length; i++) {
      drawn.push(values[(start + i) % values.length] as number);
    }
  }
  return drawn;
}
