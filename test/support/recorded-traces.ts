/** Traces as a collector gives them back, written by hand. */
import type { RequestRecord } from "../../src/bench/result.js";
import type { RecordedSpan } from "../../src/bench/traces/zipkin-json.js";

const TRACE_ID = "0123456789abcdef0123456789abcdef";

/** A span from `start` to `end`, in milliseconds. */
export function recordedSpan(name: string, start: number, end: number, more: Partial<RecordedSpan> = {}): RecordedSpan {
  const times = { timestamp: start * 1e3, duration: (end - start) * 1e3 };
  return { traceId: TRACE_ID, id: more.id ?? `${name} ${start}`, name, annotations: [], tags: {}, ...times, ...more };
}

/** A request of 100 ms whose first token came after 30, behind a server's clock that is an hour ahead. */
export function streamedTrace(traceId = TRACE_ID): RecordedSpan[] {
  const hour = 3_600_000;
  const at = (ms: number): number => hour + ms;
  const span = (name: string, start: number, end: number, more: Partial<RecordedSpan> = {}) =>
    recordedSpan(name, at(start), at(end), { traceId, parentId: "generate", ...more });
  return [
    span("post /v1/completions", 0, 100, { id: "server", parentId: "client", kind: "SERVER" }),
    span("model.generate", 0, 100, {
      id: "generate",
      parentId: "server",
      annotations: [{ timestamp: at(30) * 1e3, value: "first_token" }],
    }),
    span("tokenize", 1, 5),
    span("queue", 5, 15),
    span("kv_cache.allocate", 15, 16),
    span("inference.forward", 16, 30, { tags: { "ai.phase": "prefill" } }),
    span("inference.forward", 30, 90, { tags: { "ai.phase": "decode" } }),
    span("stream", 32, 98),
  ];
}

/** What the client saw of it: 104 ms, and the first token after 35, both counted from sending. */
export function streamedRecord(more: Partial<RequestRecord> = {}): RequestRecord {
  return {
    traceId: TRACE_ID,
    repeat: 0,
    intended: 1_000,
    sent: 1_002,
    firstToken: 1_037,
    end: 1_106,
    gaps: [],
    outcome: { kind: "ok" },
    ...more,
  };
}
