import { createHash } from "node:crypto";

export interface PageFacts {
  readonly modelId: string;
  readonly version: string;
  /** Whether there is a store to read traces from. */
  readonly traces: boolean;
}

const ENDPOINTS = [
  ["POST", "/v1/chat/completions", "chat, streamed or whole"],
  ["POST", "/v1/completions", "completions, streamed or whole"],
  ["GET", "/v1/models", "the model"],
  ["GET", "/health", "what runs where"],
  ["GET", "/ready", "200 when a request would be served"],
  ["GET", "/metrics", "Prometheus"],
  ["GET", "/zipkin/api/v2/traces", "the last traces, as Zipkin's own API gives them"],
  ["POST", "/zipkin/api/v2/spans", "spans of other services, as Zipkin takes them"],
] as const;

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
code, td.name, summary { font-family: ui-monospace, monospace; font-size: .9em }
td { padding: 0 1rem .1rem 0; vertical-align: top }
table.trace { width: 100%; border-collapse: collapse; margin: .3rem 0 1rem; table-layout: fixed }
td.name { width: min(20rem, 45%); white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
td.time { width: 5rem; text-align: right; padding: 0; font-variant-numeric: tabular-nums }
.bar { height: .8rem; margin-top: .35rem; min-width: 2px; background: #3b82c4; border-radius: 2px }
.error .bar { background: #c4423b }
.error td.name { font-weight: bold }
summary { overflow-wrap: anywhere }
summary:focus-visible { outline: 2px solid #3b82c4 }
summary { cursor: pointer }`;

/** Runs in the browser. All text from traces goes in as text nodes and attributes, never as markup. */
const SCRIPT = `
"use strict";
let shown;
const list = document.getElementById("traces");
const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};
const failure = ({ tags = {} }) => tags.error === undefined ? "" : "  failed: " + (tags["error.type"] || "error");
const ms = (micros) => (micros / 1000).toFixed(micros < 10000 ? 2 : 0) + " ms";
// Each once, whatever parents the spans of others claim: those that nothing leads to come last.
function ordered(spans) {
  const ids = new Set(spans.map((span) => span.id));
  const left = new Set(spans);
  const below = (isNext, depth) => [...left]
    .filter(isNext)
    .sort((a, b) => a.timestamp - b.timestamp)
    .flatMap((span) => left.delete(span)
      ? [[span, depth], ...(depth < 100 ? below((child) => child.parentId === span.id, depth + 1) : [])]
      : []);
  return [...below((span) => !ids.has(span.parentId), 0), ...below(() => true, 0)];
}
function waterfall(spans) {
  const rows = ordered(spans);
  const start = Math.min(...spans.map((span) => span.timestamp));
  const total = Math.max(1, ...spans.map((span) => span.timestamp + (span.duration || 1) - start));
  const table = make("table", "trace");
  for (const [span, depth] of rows) {
    const row = make("tr", span.tags && span.tags.error !== undefined ? "error" : "");
    row.title = Object.entries(span.tags || {}).map((tag) => tag.join(": ")).join("\\n");
    const cell = make("td");
    const bar = make("div", "bar");
    bar.style.marginLeft = 100 * (span.timestamp - start) / total + "%";
    bar.style.width = 100 * (span.duration || 1) / total + "%";
    cell.append(bar);
    row.append(make("td", "name", "\\u00a0".repeat(2 * depth) + span.name + failure(span)), cell, make("td", "time", ms(span.duration || 0)));
    table.append(row);
  }
  return [rows[0][0], total, table];
}
function show(spans, open) {
  const [root, total, table] = waterfall(spans);
  const details = make("details");
  details.id = root.traceId;
  details.open = open;
  const time = new Date(root.timestamp / 1000).toLocaleTimeString();
  details.append(make("summary", "", time + "  " + root.name + "  " + ms(total) + failure(root) + "  " + root.traceId), table);
  return details;
}
// Requests and starts of the engine; its steps, if there are any, would leave room for nothing else.
const QUERIES = ["annotationQuery=http.method", "spanName=model.load"];
async function refresh() {
  const responses = await Promise.all(QUERIES.map((query) => fetch("zipkin/api/v2/traces?limit=10&" + query)));
  const texts = await Promise.all(responses.map((response) => response.text()));
  // What has not changed is left alone, with whatever is selected or focused in it.
  if (texts.join() === shown) return;
  const traces = texts.flatMap((text) => JSON.parse(text));
  const focused = document.activeElement.closest("details");
  const open = new Set([...list.querySelectorAll("details[open]")].map((details) => details.id));
  const first = list.querySelector("details") === null;
  traces.sort((a, b) => b[0].timestamp - a[0].timestamp);
  list.replaceChildren(...traces.slice(0, 10).map((spans, i) => show(spans, open.has(spans[0].traceId) || (first && i === 0))));
  if (focused) document.getElementById(focused.id)?.querySelector("summary").focus();
  shown = texts.join();
  if (traces.length === 0) list.textContent = "None yet: send a request.";
}
const tick = () => document.hidden || refresh().catch(() => {
  shown = undefined;
  list.textContent = "The server does not answer.";
});
tick();
setInterval(tick, 3000);
`;

const sha256 = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** Only what this page holds may run, and it may talk to this server only. */
export const PAGE_POLICY = [
  "default-src 'none'",
  `script-src ${sha256(SCRIPT)}`,
  "style-src 'unsafe-inline'",
  "connect-src 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** The page at `/`: what this service is, where to send what, and the newest traces as waterfalls. */
export function renderPage({ modelId, version, traces }: PageFacts): string {
  const endpoints = ENDPOINTS.filter(([, path]) => traces || !path.startsWith("/zipkin/"))
    .map(
      ([method, path, what]) =>
        `<tr><td><code>${method}</code></td><td>${method === "GET" ? `<a href="${path}">` : ""}<code>${path}</code>${method === "GET" ? "</a>" : ""}</td><td>${what}</td></tr>`,
    )
    .join("\n");
  const newest = traces
    ? `<p>A span's tags are shown where the pointer rests on it.</p>\n<div id="traces"></div>\n<script>${SCRIPT}</script>`
    : "<p>The trace store is off; <code>--trace-store on</code> shows the last traces here.</p>";
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>vitrine: ${escapeHtml(modelId)}</title>
<style>${STYLE}</style>
<h1>vitrine</h1>
<p>Serves <code>${escapeHtml(modelId)}</code> over an OpenAI-compatible API; every request is one trace.
Version ${escapeHtml(version)}.</p>
<table>
${endpoints}
</table>
<h2>Newest traces</h2>
${newest}
</html>
`;
}

export function escapeHtml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}
