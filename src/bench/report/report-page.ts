import { createHash } from "node:crypto";
import { pointValues } from "../metrics/values.js";
import type { BenchResult, LatencyName, LoadPoint } from "../result.js";
import { count, duration, number, percent } from "./format.js";
import { element, figure, section, table, text } from "./html.js";
import { loadFigures } from "./load-plots.js";
import { LATENCIES } from "./names.js";
import { PAGE_SCRIPT } from "./page-script.js";
import { PAGE_STYLE } from "./page-style.js";
import { distributions } from "./svg/distributions.js";
import { timeline } from "./svg/timeline.js";
import { traceFigures } from "./trace-figures.js";

/** One HTML document that needs nothing else: no network, which its policy forbids, and no script to be read. */
export function reportPage(result: BenchResult): string {
  const title = `${result.target.model} at ${new URL(result.target.url).host}`;
  const hash = createHash("sha256").update(PAGE_SCRIPT).digest("base64");
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
  return [
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    element("title", {}, text(`Benchmark: ${title}`)),
    `<style>${PAGE_STYLE}</style></head><body>`,
    element(
      "main",
      {},
      header(result, title),
      loads(result),
      againstLoad(result),
      distributionsOf(result),
      whereTimeWent(result),
      timelines(result),
    ),
    `<script>${PAGE_SCRIPT}</script></body></html>\n`,
  ].join("");
}

function header({ command, startedAt, machine, target, commit, points }: BenchResult, title: string): string {
  const when = startedAt.slice(0, 16).replace("T", " ");
  const memory = `${number(machine.memoryBytes / 2 ** 30)} GiB`;
  const facts = [
    target.server,
    `${machine.cores} × ${machine.cpu}, ${memory}`,
    machine.platform,
    `Node ${machine.node}`,
  ];
  const measured = commit === undefined ? [] : [`commit ${commit.slice(0, 12)}`];
  const line = [`${when} UTC`, ...facts, ...measured].filter((fact) => fact !== undefined).join(" · ");
  return [
    element("h1", {}, text(title)),
    element("p", { class: "quiet" }, text(line)),
    element("code", { class: "command" }, text(command)),
    element("div", { class: "facts" }, ...factsOf(points)),
  ].join("");
}

/** The few numbers to take away. */
function factsOf(points: readonly LoadPoint[]): string[] {
  const fact = (value: string, what: string): string =>
    element("div", { class: "fact" }, element("b", {}, text(value)), element("span", {}, text(what)));
  const requests = points.reduce((sum, { summary }) => sum + summary.requests, 0);
  const good = points.reduce((sum, { summary }) => sum + summary.ok, 0);
  const facts = [fact(number(requests), `requests, ${percent(requests === 0 ? 0 : good / requests)} of them answered`)];
  const fastest = bestOf(points, ({ summary }) => summary.outputTokensPerSecond.value);
  if (fastest !== undefined) facts.push(fact(`${number(fastest.value)} tokens/s`, `most output, at ${fastest.name}`));
  for (const name of ["ttft", "tpot"] as const) {
    const quickest = bestOf(points, ({ summary }) => -(summary.latencies[name]?.p50.value ?? Number.POSITIVE_INFINITY));
    if (quickest !== undefined && Number.isFinite(quickest.value)) {
      facts.push(fact(duration(-quickest.value), `median ${LATENCIES[name]}, at ${quickest.name}`));
    }
  }
  return facts;
}

function bestOf(points: readonly LoadPoint[], read: (point: LoadPoint) => number) {
  const found = points.map((point) => ({ name: point.name, value: read(point) }));
  return found.sort((a, b) => b.value - a.value)[0];
}

const METRICS: readonly LatencyName[] = ["queue", "ttft", "tpot", "itl", "e2e"];

function loads({ points, slos, comparison = [] }: BenchResult): string {
  const good = points.some(({ summary }) => summary.goodput !== undefined);
  const limits = slos.map(({ metric, limitMs }) => `${LATENCIES[metric]} at most ${duration(limitMs)}`).join(", ");
  const intro = good ? `A good request met: ${limits}.` : "Every load that was put on the target, and what came of it.";
  return section("Loads", intro, rates(points, good), percentiles(points), variants(comparison));
}

/** @param good there are limits that make a request a good one */
function rates(points: readonly LoadPoint[], good: boolean): string {
  const rows = points.map(({ name, summary }) => [
    name,
    String(summary.ok),
    String(summary.cancelled),
    Object.entries(summary.errors)
      .map(([kind, times]) => `${times} × ${kind}`)
      .join(", ") || "none",
    number(summary.requestsPerSecond.value),
    number(summary.inputTokensPerSecond.value),
    number(summary.outputTokensPerSecond.value),
    ...(good ? [summary.goodput === undefined ? "–" : number(summary.goodput.value)] : []),
  ]);
  const counts = ["load", "answered", "cancelled", "errors"];
  const speeds = ["requests/s", "tokens/s in", "tokens/s out", ...(good ? ["good requests/s"] : [])];
  return table("By load", [...counts, ...speeds], rows);
}

function percentiles(points: readonly LoadPoint[]): string {
  const rows = points.flatMap(({ name, summary }) =>
    METRICS.flatMap((metric) => {
      const found = summary.latencies[metric];
      if (found === undefined) return [];
      const values = [found.mean, found.p50.value, found.p90.value, found.p95.value, found.p99.value, found.max];
      return [[`${name}: ${LATENCIES[metric]}`, ...values.map(number)]];
    }),
  );
  const title = "Milliseconds, from the intended time of sending";
  const latencies = table(title, ["", "mean", "p50", "p90", "p95", "p99", "max"], rows);
  return element("details", {}, "<summary>Latencies by percentile</summary>", latencies);
}

function variants(comparison: NonNullable<BenchResult["comparison"]>): string {
  if (comparison.length === 0) return "";
  const rows = comparison.map(({ metric, base, variant, ratio }) => [
    `${metric}: ${variant} over ${base}`,
    ratio.value.toFixed(3),
    ratio.low === undefined || ratio.high === undefined ? "–" : `${ratio.low.toFixed(3)} to ${ratio.high.toFixed(3)}`,
  ]);
  return table("Variants, round by round", ["", "ratio", "95 % interval"], rows);
}

function againstLoad(result: BenchResult): string {
  const figures = loadFigures(result);
  const intro =
    figures.length === 0
      ? "One load was measured; a sweep of several draws this."
      : "Median, 95th and 99th percentile of the requests that were answered, counted from when each was meant to be sent. Bars are 95 % intervals over repeats.";
  return section("Latency against load", intro, element("div", { class: "plots" }, ...figures));
}

function distributionsOf({ points }: BenchResult): string {
  const figures = (["ttft", "itl"] as const).flatMap((metric) => {
    const rows = points.map((point) => ({ name: point.name, values: pointValues(point, metric) }));
    if (!rows.some(({ values }) => values.some((value) => value > 0))) return [];
    const title = metric === "ttft" ? "Time to first token" : "Time between chunks of text";
    const numbers = points.flatMap(({ name, summary }) => {
      const found = summary.latencies[metric];
      return found === undefined
        ? []
        : [[name, number(found.p50.value), number(found.p95.value), number(found.p99.value), number(found.max)]];
    });
    return [
      figure(
        distributions(title, rows),
        table(`${title}, milliseconds`, ["load", "p50", "p95", "p99", "max"], numbers),
      ),
    ];
  });
  const intro =
    figures.length === 0
      ? "The answers were not streamed."
      : "Every request that was answered; lines are the median, the 95th and the 99th percentile.";
  return section("Distributions", intro, ...figures);
}

function whereTimeWent(result: BenchResult): string {
  const intro =
    "Read back from the traces. Network is what the client waited beyond what the server's spans tell of, so that no clocks are compared; the parts add up to the whole.";
  return section("Where the time went", intro, traceFigures(result));
}

function timelines({ points }: BenchResult): string {
  const drawn = points
    .filter(({ requests }) => requests.length > 0)
    .map((point, index) => {
      const rows = ["ok", "cancelled", "failed"].map((kind) => {
        const of = point.requests.filter(({ outcome }) =>
          kind === "failed" ? !["ok", "cancelled"].includes(outcome.kind) : outcome.kind === kind,
        );
        return [kind, String(of.length), duration(Math.max(0, ...of.map(({ intended, end }) => end - intended)))];
      });
      const shown = figure(
        timeline(point.name, point.requests),
        table("Requests by outcome", ["", "requests", "longest"], rows),
      );
      const summary = element("summary", {}, text(`${point.name}: ${count(point.requests.length, "request")}`));
      return element("details", index === 0 ? { open: "" } : {}, summary, shown);
    });
  return section(
    "Timeline of requests",
    "A bar a request, in the first free lane. Drag across a stretch to look closer.",
    ...drawn,
  );
}
