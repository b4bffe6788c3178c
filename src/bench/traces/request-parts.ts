import type { RequestRecord, TracePart } from "../result.js";
import { type Interval, IntervalSet } from "./interval-set.js";
import type { RecordedRequest } from "./recorded-request.js";
import type { RecordedSpan } from "./zipkin-json.js";

export type Parts = Readonly<Record<TracePart, number>>;

export interface RequestParts {
  /** Milliseconds; they add up to the time to first token as the client saw it. Absent without a first token. */
  readonly ttft?: Parts;
  /** Milliseconds; they add up to the whole request as the client saw it. */
  readonly e2e: Parts;
}

const named = (name: string) => (span: RecordedSpan) => span.name === name;
const forward = (phase: string) => (span: RecordedSpan) =>
  span.name === "inference.forward" && span.tags["ai.phase"] === phase;

/** What a span of the server's stands for. A moment under several counts as the first of them: writing overlaps decoding. */
const SERVER_PARTS: readonly (readonly [TracePart, (span: RecordedSpan) => boolean])[] = [
  ["tokenize", named("tokenize")],
  // Nothing runs while the cache grows, whatever phase the request is in.
  ["kv_allocate", (span) => span.name === "kv_cache.allocate" || span.name === "kv_cache.grow"],
  ["prefill", forward("prefill")],
  ["decode", forward("decode")],
  ["queue", named("queue")],
  ["write", (span) => span.name === "stream" || span.name === "detokenize"],
];

export const TRACE_PARTS: readonly TracePart[] = [
  "client_queue",
  "network",
  "queue",
  "tokenize",
  "kv_allocate",
  "prefill",
  "decode",
  "write",
  "other",
];

/**
 * Where one request's time went. Only durations of the client's clock and of the server's are compared, never times, so
 * the two need not agree: network is what the client waited beyond what the server says it worked, both ways together. A
 * server whose span outlasts the client's wait was closing what the client had got already, which is not counted.
 */
export function partsOf(record: RequestRecord, request: RecordedRequest): RequestParts | undefined {
  const { server } = request;
  if (server === undefined) return undefined;
  const clientQueue = record.sent - record.intended;
  const split = (clientMs: number, [start, end]: Interval, writing?: Interval): Parts => {
    const worked = Math.min(end - start, clientMs * 1e3);
    const network = Math.max(0, clientMs - worked / 1e3);
    return { ...serverParts(request, [start, start + worked], writing), client_queue: clientQueue, network };
  };
  const start = server.timestamp;
  const e2e = split(record.end - record.sent, [start, start + server.duration]);
  const firstToken = request.annotation("first_token");
  if (record.firstToken === undefined || firstToken === undefined) return { e2e };
  // The stream opens with the first piece of text: until then the token is on its way out.
  const opened = request.spans.find(named("stream"))?.timestamp ?? firstToken;
  const written = Math.max(firstToken, opened);
  return { e2e, ttft: split(record.firstToken - record.sent, [start, written], [firstToken, written]) };
}

/** The server's window by part, without a rest; `writing` is known to be that and nothing else. */
function serverParts(request: RecordedRequest, window: Interval, writing?: Interval): Parts {
  const parts = Object.fromEntries(TRACE_PARTS.map((part) => [part, 0])) as Record<TracePart, number>;
  let left = IntervalSet.of([window]);
  const take = (part: TracePart, times: IntervalSet): void => {
    parts[part] += left.intersect(times).length / 1e3;
    left = left.minus(times);
  };
  if (writing !== undefined) take("write", IntervalSet.of([writing]));
  for (const [part, matches] of SERVER_PARTS) take(part, request.during(matches));
  parts.other = left.length / 1e3;
  return parts;
}

/** Part by part, the mean of several; all zero of none. */
export function meanParts(all: readonly Parts[]): Parts {
  const mean = (part: TracePart): number => all.reduce((sum, parts) => sum + parts[part], 0) / Math.max(1, all.length);
  return Object.fromEntries(TRACE_PARTS.map((part) => [part, mean(part)])) as Record<TracePart, number>;
}
