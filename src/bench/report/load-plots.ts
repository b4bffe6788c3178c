import type { BenchResult, Estimate, LatencyName, LoadPoint } from "../result.js";
import { byVariant, loadAxis, number } from "./format.js";
import { figure, table } from "./html.js";
import { LATENCIES } from "./names.js";
import { type LinePlot, linePlot, type Series } from "./svg/line-plot.js";

/** Each variant has a family of tones, darker for rarer. */
const FAMILIES = ["tone", "rival", "third"] as const;
const QUANTILES = ["p50", "p95", "p99"] as const;
const PLOTTED: readonly LatencyName[] = ["ttft", "tpot", "e2e"];

/** Latency and throughput against load; empty where fewer than two loads lie along one axis. */
export function loadPlots(result: BenchResult): readonly { readonly name: string; readonly plot: LinePlot }[] {
  const axes = result.points.map(({ load }) => loadAxis(load));
  const [axis] = axes;
  const values = new Set(axes.map((other) => other?.value));
  if (axis === undefined || axes.some((other) => other?.label !== axis.label) || values.size < 2) return [];
  const latencies = PLOTTED.filter((name) =>
    result.points.some(({ summary }) => summary.latencies[name] !== undefined),
  );
  return [
    ...latencies.map((name) => ({ name, plot: latencyPlot(result, name, axis.label) })),
    { name: "tokens", plot: throughputPlot(result, axis.label) },
  ];
}

function latencyPlot(result: BenchResult, name: LatencyName, horizontal: string): LinePlot {
  const limit = result.slos.find(({ metric }) => metric === name)?.limitMs;
  const series = seriesOf(result, QUANTILES, (point, quantile) => point.summary.latencies[name]?.[quantile]);
  return { title: capital(LATENCIES[name]), unit: "ms", horizontal, series, ...(limit === undefined ? {} : { limit }) };
}

function throughputPlot(result: BenchResult, horizontal: string): LinePlot {
  const series = seriesOf(result, ["tokens"], (point) => point.summary.outputTokensPerSecond);
  return { title: "Output", unit: "tokens/s", horizontal, series };
}

function seriesOf<Kind extends string>(
  { points }: BenchResult,
  kinds: readonly Kind[],
  read: (point: LoadPoint, kind: Kind) => Estimate | undefined,
): Series[] {
  return [...byVariant(points)].flatMap(([variant, own], index) => {
    const family = FAMILIES[index % FAMILIES.length];
    return kinds.map((kind, step) => ({
      name: [variant, kinds.length > 1 || variant === "" ? kind : ""].filter(Boolean).join(" "),
      style: `${family}-${kinds.length === 1 ? 2 : step + 1}`,
      points: own.flatMap((point) => {
        const estimate = read(point, kind);
        const x = loadAxis(point.load)?.value;
        return estimate === undefined || x === undefined ? [] : [{ x, y: estimate.value, ...intervalOf(estimate) }];
      }),
    }));
  });
}

const intervalOf = ({ low, high }: Estimate) => (low === undefined || high === undefined ? {} : { low, high });
const capital = (words: string): string => words.charAt(0).toUpperCase() + words.slice(1);

/** The plots as figures of a page. */
export function loadFigures(result: BenchResult): readonly string[] {
  return loadPlots(result).map(({ plot }) => {
    const loads = [...new Set(plot.series.flatMap(({ points }) => points.map(({ x }) => x)))].sort((a, b) => a - b);
    const rows = loads.map((load) => [
      number(load),
      ...plot.series.map(({ points }) => cell(points.find(({ x }) => x === load))),
    ]);
    const head = [plot.horizontal, ...plot.series.map(({ name }) => name)];
    return figure(linePlot(plot), table(`${plot.title}, ${plot.unit}`, head, rows));
  });
}

function cell(point: Series["points"][number] | undefined): string {
  if (point === undefined) return "–";
  const { y, low, high } = point;
  return low === undefined || high === undefined ? number(y) : `${number(y)} (${number(low)} to ${number(high)})`;
}
