import type { BenchResult, LatencyName, LoadPoint, TraceSummary } from "../result.js";
import { TRACE_PARTS } from "../traces/request-parts.js";
import { traceLink } from "../traces/trace-link.js";
import { bright, type Column, columns, dim, type TerminalStyle } from "./columns.js";
import { count, duration, number, percent } from "./format.js";
import { LATENCIES, PARTS } from "./names.js";

const METRICS: readonly LatencyName[] = ["ttft", "tpot", "itl", "e2e", "queue"];
const BAR = "█";
/** Of each load, where there are several. */
const SLOWEST_SHOWN = 3;

/** What a benchmark says at its end: rates by load, latencies, and what the traces tell. Lines without a final newline. */
export function terminalTable(result: BenchResult, style: TerminalStyle): string {
  const { target, points, slos } = result;
  const server = target.server === undefined ? "" : `  ${target.server}`;
  const limits = slos.map(({ metric, limitMs }) => `${metric} ≤ ${duration(limitMs)}`).join(", ");
  const blocks = [
    [`${target.model} at ${target.url}${server}`, ...(limits === "" ? [] : [`goodput counts ${limits}`])],
    rates(points, style),
    latencies(points, style),
    ...points.map((point) => traces(result, point, style)),
    points.flatMap(({ name, warnings = [] }) => warnings.map((warning) => `${name}  ${warning}`)),
    ...(result.comparison === undefined ? [] : [comparison(result.comparison, style)]),
  ];
  return blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n");
}

function rates(points: readonly LoadPoint[], style: TerminalStyle): string[] {
  const column = (title: string, read: (point: LoadPoint) => string): Column => ({ title, cells: points.map(read) });
  const good = points.some(({ summary }) => summary.goodput !== undefined);
  const cancelled = points.some(({ summary }) => summary.cancelled > 0);
  return columns(
    [
      column("load", ({ name }) => name),
      column("answered", ({ summary }) => `${summary.ok}/${summary.requests}`),
      column("req/s", ({ summary }) => spread(summary.requestsPerSecond)),
      ...(good ? [column("good/s", ({ summary }) => (summary.goodput ? spread(summary.goodput) : "–"))] : []),
      column("tok/s in", ({ summary }) => spread(summary.inputTokensPerSecond)),
      column("tok/s out", ({ summary }) => spread(summary.outputTokensPerSecond)),
      ...(cancelled ? [column("cancelled", ({ summary }) => String(summary.cancelled))] : []),
      column("errors", ({ summary }) => errorsOf(summary.errors)),
    ],
    style,
  );
}

const errorsOf = (errors: Readonly<Record<string, number>>): string =>
  Object.entries(errors)
    .map(([kind, times]) => `${times} ${kind}`)
    .join(", ") || "none";

function latencies(points: readonly LoadPoint[], style: TerminalStyle): string[] {
  const rows = points.flatMap(({ name, summary }) =>
    METRICS.flatMap((metric) => {
      const found = summary.latencies[metric];
      return found === undefined ? [] : [{ name: `${name}  ${LATENCIES[metric]}`, found }];
    }),
  );
  if (rows.length === 0) return [];
  const column = (title: string, read: (row: (typeof rows)[number]) => string): Column => ({
    title,
    cells: rows.map(read),
  });
  return columns(
    [
      column("milliseconds", ({ name }) => name),
      column("mean", ({ found }) => number(found.mean)),
      column("p50", ({ found }) => spread(found.p50)),
      column("p90", ({ found }) => number(found.p90.value)),
      column("p95", ({ found }) => number(found.p95.value)),
      column("p99", ({ found }) => spread(found.p99)),
      column("max", ({ found }) => number(found.max)),
    ],
    style,
  );
}

/** `12.3 ±0.4`, half of the interval; without one the value alone. */
function spread({ value, low, high }: { value: number; low?: number; high?: number }): string {
  return low === undefined || high === undefined ? number(value) : `${number(value)} ±${number((high - low) / 2)}`;
}

function traces(result: BenchResult, point: LoadPoint, style: TerminalStyle): string[] {
  const { name, traces: summary, tracesUnavailable } = point;
  if (tracesUnavailable !== undefined) return [`${name}  traces: not applicable. ${tracesUnavailable}`];
  if (summary === undefined) return [];
  const { complete, sent, orphans, coverage } = summary;
  const covered = coverage === undefined ? "" : `, server spans covered to ${percent(coverage.min)} at least`;
  const head = `${name}  traces: ${complete} of ${sent} complete, ${count(orphans, "orphaned span")}${covered}`;
  const slowest = summary.slowest
    .slice(0, result.points.length > 1 ? SLOWEST_SHOWN : undefined)
    .map(({ traceId, e2e }) => {
      return `  ${duration(e2e).padStart(10)}  ${traceLink(result, traceId) ?? traceId}`;
    });
  return [head, ...partLines(summary, style), ...(slowest.length === 0 ? [] : ["  slowest", ...slowest])];
}

function partLines({ ttft, e2e }: TraceSummary, style: TerminalStyle): string[] {
  const whole = TRACE_PARTS.reduce((sum, part) => sum + e2e[part], 0);
  if (whole === 0) return [];
  const used = TRACE_PARTS.filter((part) => e2e[part] > 0 || ttft[part] > 0);
  const [names, first, all] = [
    used.map((part) => PARTS[part]),
    used.map((part) => duration(ttft[part])),
    used.map((part) => duration(e2e[part])),
  ];
  const room = Math.max(8, Math.min(40, style.width - 56));
  const bars = used.map((part) => BAR.repeat(Math.round((e2e[part] / whole) * room)));
  const width = (cells: readonly string[], least: number): number =>
    Math.max(least, ...cells.map((cell) => cell.length));
  const [nameWidth, firstWidth, allWidth] = [width(names, 0), width(first, 14), width(all, 8)];
  const lines = used.map((_, i) => {
    const cells = [names[i]?.padEnd(nameWidth), first[i]?.padStart(firstWidth), all[i]?.padStart(allWidth)];
    return `  ${cells.join("  ")}  ${bright(bars[i] ?? "", style)}`.trimEnd();
  });
  const head = ["where it went".padEnd(nameWidth), "to first token".padStart(firstWidth), "whole".padStart(allWidth)];
  return [dim(`  ${head.join("  ")}`, style), ...lines];
}

function comparison(ratios: NonNullable<BenchResult["comparison"]>, style: TerminalStyle): string[] {
  const column = (title: string, read: (row: (typeof ratios)[number]) => string): Column => ({
    title,
    cells: ratios.map(read),
  });
  return columns(
    [
      column("variants", ({ metric, base, variant }) => `${metric}: ${variant} over ${base}`),
      column("ratio", ({ ratio }) => ratio.value.toFixed(3)),
      column("95 % interval", ({ ratio: { low, high } }) =>
        low === undefined || high === undefined ? "–" : `${low.toFixed(3)} to ${high.toFixed(3)}`,
      ),
    ],
    style,
  );
}
