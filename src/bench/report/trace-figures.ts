import type { BenchResult, LoadPoint, TracePart, TraceSummary } from "../result.js";
import { TRACE_PARTS } from "../traces/request-parts.js";
import { traceLink } from "../traces/trace-link.js";
import { duration, number, percent } from "./format.js";
import { element, figure, table, text } from "./html.js";
import { PARTS } from "./names.js";
import { type StackedBar, stackedBars } from "./svg/stacked-bars.js";

type TracedPoint = LoadPoint & { readonly traces: TraceSummary };

const isTraced = (point: LoadPoint): point is TracedPoint => point.traces !== undefined;

/** Where the time went, how complete the traces are, and the slowest requests; or why that is not known. */
export function traceFigures(result: BenchResult): string {
  const traced = result.points.filter(isTraced);
  const reasons = new Set(result.points.flatMap(({ tracesUnavailable }) => tracesUnavailable ?? []));
  const why = [...reasons].map((reason) => element("p", {}, text(`No traces: ${reason}`)));
  if (traced.length === 0) return why.join("");
  const bars = [partsFigure("Time to first token", traced, "ttft"), partsFigure("Whole request", traced, "e2e")];
  return [...why, ...bars, completeness(traced), slowest(result, traced)].join("");
}

function partsFigure(title: string, points: readonly TracedPoint[], which: "ttft" | "e2e"): string {
  const sum = (parts: Readonly<Record<TracePart, number>>): number =>
    TRACE_PARTS.reduce((total, part) => total + parts[part], 0);
  const measured = points.filter(({ traces }) => sum(traces[which]) > 0);
  if (measured.length === 0) return "";
  const bars: StackedBar[] = measured.map(({ name, traces }) => ({
    name,
    parts: TRACE_PARTS.map((part) => ({
      name: PARTS[part],
      style: part.replaceAll("_", "-"),
      ms: traces[which][part],
    })),
  }));
  const rows = measured.map(({ name, traces }) => [
    name,
    ...TRACE_PARTS.map((part) => number(traces[which][part])),
    number(sum(traces[which])),
  ]);
  const head = ["load", ...TRACE_PARTS.map((part) => PARTS[part]), "sum"];
  return figure(stackedBars(title, bars), table(`${title}: mean milliseconds by part`, head, rows));
}

function completeness(points: readonly TracedPoint[]): string {
  const rows = points.map(({ name, traces }) => [
    name,
    `${traces.complete} of ${traces.sent}`,
    String(traces.orphans),
    traces.coverage === undefined ? "–" : percent(traces.coverage.min),
    traces.coverage === undefined ? "–" : percent(traces.coverage.median),
  ]);
  const head = ["load", "complete traces", "orphaned spans", "least coverage", "median coverage"];
  return table("Coverage is the share of the server's span that the spans below it tell of.", head, rows);
}

function slowest(result: BenchResult, points: readonly TracedPoint[]): string {
  const lists = points.map(({ name, traces }) => {
    const items = traces.slowest.map(({ traceId, e2e }) => {
      const id = element("code", {}, text(traceId));
      const link = traceLink(result, traceId);
      const shown = link === undefined ? id : element("a", { href: link }, id);
      return element("li", {}, shown, text(` ${duration(e2e)}`));
    });
    const summary = element("summary", {}, text(`${name}: the ${items.length} slowest requests`));
    return element("details", {}, summary, element("ol", {}, ...items));
  });
  return lists.join("");
}
