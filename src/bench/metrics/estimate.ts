import { mean, sampleStandardDeviation } from "simple-statistics";
import type { Estimate } from "../result.js";

/** Two-sided 95 % quantiles of Student's t distribution for 1 to 30 degrees of freedom. */
const T_95 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
] as const;
const NORMAL_95 = 1.96;

/** The mean of one value a repeat, with the 95 % confidence interval of Student's t; of a single repeat the value alone. */
export function estimate(values: readonly number[]): Estimate {
  const sample = [...values];
  const value = mean(sample);
  if (sample.length < 2) return { value };
  const t = T_95[sample.length - 2] ?? NORMAL_95;
  const half = (t * sampleStandardDeviation(sample)) / Math.sqrt(sample.length);
  return { value, low: value - half, high: value + half };
}

/** The same for ratios: the geometric mean, with the interval of the mean of their logarithms. */
export function ratioEstimate(ratios: readonly number[]): Estimate {
  const { value, low, high } = estimate(ratios.map(Math.log));
  return {
    value: Math.exp(value),
    ...(low === undefined || high === undefined ? {} : { low: Math.exp(low), high: Math.exp(high) }),
  };
}
