import { valuesOf } from "../metrics/values.js";
import type { BenchResult, LatencyName, LoadPoint, Outcome, RequestRecord } from "../result.js";

const COLUMNS = [
  "load",
  "variant",
  "repeat",
  "trace_id",
  "intended_ms",
  "sent_ms",
  "first_token_ms",
  "end_ms",
] as const;
const LATENCY_COLUMNS: readonly LatencyName[] = ["queue", "ttft", "tpot", "e2e"];
const REST = ["prompt_tokens", "output_tokens", "outcome", "detail"] as const;

/** One row a request (RFC 4180). Times as in the result; what a request does not have is an empty cell. */
export function requestsCsv({ points }: BenchResult): string {
  const head = [...COLUMNS, ...LATENCY_COLUMNS.map((name) => `${name}_ms`), ...REST];
  const rows = points.flatMap((point) => point.requests.map((record) => rowOf(point, record)));
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

type Cell = string | number | undefined;

function rowOf({ name, variant }: LoadPoint, record: RequestRecord): Cell[] {
  const { traceId, repeat, intended, sent, firstToken, end, promptTokens, outputTokens, outcome } = record;
  const latencies = LATENCY_COLUMNS.map((latency) => valuesOf(record, latency)[0]);
  const times = [intended, sent, firstToken, end];
  return [
    name,
    variant,
    repeat,
    traceId,
    ...times,
    ...latencies,
    promptTokens,
    outputTokens,
    outcome.kind,
    detailOf(outcome),
  ];
}

function detailOf(outcome: Outcome): Cell {
  switch (outcome.kind) {
    case "ok":
      return outcome.finishReason;
    case "http":
      return outcome.status;
    case "broken":
      return outcome.reason;
    case "cancelled":
      return undefined;
  }
}

function cell(value: Cell): string {
  if (value === undefined) return "";
  if (typeof value === "number") return String(Math.round(value * 1e3) / 1e3);
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}
