/** Ratios of what was measured side by side, with what chance alone could make of their median. */
import { median, quantile, sampleWithReplacement } from "simple-statistics";
import { Random } from "../../../src/engine/sampling/random.js";

export interface PairedRatio {
  /** Median of the paired ratios. */
  readonly ratio: number;
  /** Its 95 % confidence interval. */
  readonly spread: readonly [number, number];
  readonly confidence: 0.95;
}

const RESAMPLES = 2_000;

/** Of `peer[i] / own[i]`. The interval is the percentile bootstrap's (Efron, 1979), the same for the same numbers. */
export function pairedRatio(own: readonly number[], peer: readonly number[]): PairedRatio {
  const ratios = own.map((cost, pass) => (peer[pass] ?? Number.NaN) / cost);
  const random = Random.seeded(1);
  const resampled = () => median(sampleWithReplacement(ratios, ratios.length, () => random.nextFloat()));
  const medians = Array.from({ length: RESAMPLES }, resampled);
  return { ratio: median(ratios), spread: [quantile(medians, 0.025), quantile(medians, 0.975)], confidence: 0.95 };
}
