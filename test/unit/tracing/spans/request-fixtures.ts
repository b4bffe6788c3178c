/** Engine events of one request, and ways to drive its trace. Times in microseconds after the request came in. */
import assert from "node:assert/strict";
import type { WireError } from "../../../../src/errors.js";
import type { EngineRun, ForwardStats, Outcome, RequestEvent } from "../../../../src/protocol.js";
import type { RequestTrace } from "../../../../src/tracing/contract.js";
import type { ZipkinSpan } from "../../../../src/tracing/export/zipkin-span.js";
import { GENERATE, type Harness, INCOMING } from "../harness.js";

export const id = "request-1";

export const RUN: EngineRun = {
  id: "e3f1a2b3c4d5e6f70123456789abcdef",
  model: "tiny",
  device: {
    requested: "auto",
    provider: "cuda",
    deviceId: 1,
    reason: "a CUDA device was found",
    runtime: { requested: "native", kind: "native", reason: "asked for" },
  },
};

export const ADMITTED: Extract<RequestEvent, { type: "admitted" }> = {
  type: "admitted",
  id,
  queue: { start: 2_000, end: 5_000, depth: 3 },
  allocation: {
    start: 5_000,
    end: 5_100,
    tokens: 28,
    bytes: 28_672,
    reusedTokens: 4,
    evictedTokens: 2,
    waitMs: 1.2345,
    poolBytes: 262_144,
    poolUtilization: 0.123456,
  },
  run: RUN,
};

const PREFILL: ForwardStats = {
  phase: "prefill",
  start: 5_100,
  end: 15_000,
  steps: 2,
  tokens: 12,
  meanBatchSize: 1,
  maxStepMs: 6.25,
  deviceSeconds: 0.0099,
};

export const DECODE: ForwardStats = {
  phase: "decode",
  start: 15_000,
  end: 35_000,
  steps: 2,
  tokens: 2,
  meanBatchSize: 3.5,
  maxStepMs: 11.5,
  deviceSeconds: 0.005,
};

export const token = (at: number): RequestEvent => ({ type: "token", id, token: 7, at });
export const prefilled: RequestEvent = { type: "prefilled", id, forward: PREFILL };
export const ended = (outcome: Outcome, at = 35_010, forward?: ForwardStats): RequestEvent =>
  forward === undefined ? { type: "ended", id, outcome, at } : { type: "ended", id, outcome, at, forward };

export const FINISHED: Outcome = { kind: "finished", reason: "stop" };
export const LOST: WireError = { code: "engine_lost", message: "the engine process was killed (SIGKILL)" };

/** What begins traces: a harness, or the real thing. */
interface RequestStarter {
  readonly requests: Pick<Harness["requests"], "start">;
}

/** A request up to its handing over to the engine. */
export function begin(harness: RequestStarter, headers: Record<string, string> = {}): RequestTrace {
  const trace = harness.requests.start({ ...INCOMING, headers });
  trace.generating(500, GENERATE);
  trace.tokenized(600, 1_900, 12);
  return trace;
}

/** A request that ran to its end, streamed. */
export function complete(harness: RequestStarter, headers: Record<string, string> = {}, decode = DECODE): RequestTrace {
  const trace = begin(harness, headers);
  for (const event of [ADMITTED, prefilled, token(15_000), token(25_000), token(35_000)]) trace.observe(event);
  trace.observe(ended(FINISHED, 35_010, decode));
  trace.wrote({ name: "stream", start: 15_050, end: 35_500, chunks: 4 });
  trace.finish({ status: 200, at: 36_000 });
  return trace;
}

/** Parents cover children, and every span has a parent or is the server's. */
export function checkShape(spans: readonly ZipkinSpan[]): void {
  const byId = new Map(spans.map((span) => [span.id, span]));
  assert.equal(byId.size, spans.length, "a span was recorded twice");
  for (const span of spans) {
    const parent = byId.get(span.parentId ?? "");
    if (parent === undefined) {
      assert.equal(span.kind, "SERVER");
      continue;
    }
    assert.ok(span.timestamp >= parent.timestamp, `${span.name} begins before ${parent.name}`);
    const end = span.timestamp + span.duration;
    assert.ok(end <= parent.timestamp + parent.duration, `${span.name} outlasts ${parent.name}`);
  }
}

export const GENERATED = ["  model.generate", "    tokenize"];
