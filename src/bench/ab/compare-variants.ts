/** The ratios of an A/B run: B over A, round by round, so that what drifts between rounds falls out. */
import { ratioEstimate } from "../metrics/estimate.js";
import { measure, type RepeatMeasures, repeatsOf } from "../metrics/summary.js";
import type { LatencyName, LoadPoint, VariantRatio } from "../result.js";

type Metric = readonly [name: string, of: (measures: RepeatMeasures) => number];

const latency = (name: LatencyName, percent: number): Metric => [
  `${name} p${percent}`,
  ({ histograms }) => histograms[name].percentile(percent),
];

const METRICS: readonly Metric[] = [
  ["requests/s", ({ ok, seconds }) => ok.length / seconds],
  ["output tokens/s", ({ ok, seconds }) => ok.reduce((sum, { outputTokens = 0 }) => sum + outputTokens, 0) / seconds],
  latency("ttft", 50),
  latency("ttft", 99),
  latency("tpot", 50),
  latency("itl", 50),
  latency("itl", 99),
  latency("e2e", 50),
  latency("e2e", 99),
];

/** Compares the two variants of each load. A metric that a round of either lacks, or has as 0, is left out. */
export function compareVariants(points: readonly LoadPoint[]): VariantRatio[] {
  return points.flatMap((base, index) => {
    const variant = points[index + 1];
    if (index % 2 === 1 || variant === undefined) return [];
    return comparePair(base, variant, points.length > 2);
  });
}

function comparePair(base: LoadPoint, variant: LoadPoint, several: boolean): VariantRatio[] {
  const [a, b] = [base, variant].map(({ requests }) => repeatsOf(requests).map(measure));
  const load = base.name.replace(`, ${base.variant}`, "");
  return METRICS.flatMap(([metric, of]) => {
    const ratios = (a ?? []).flatMap((measures, round) => {
      const other = b?.[round];
      return other === undefined ? [] : [of(other) / of(measures)];
    });
    if (ratios.length === 0 || ratios.some((ratio) => !(ratio > 0 && Number.isFinite(ratio)))) return [];
    return [
      {
        metric: several ? `${load}: ${metric}` : metric,
        base: base.variant ?? "",
        variant: variant.variant ?? "",
        ratio: ratioEstimate(ratios),
      },
    ];
  });
}
