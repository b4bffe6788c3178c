import assert from "node:assert/strict";
import { monotonicMicros, type StepStats } from "../../src/protocol.js";
import type { Tracing } from "../../src/tracing/tracing.js";
import { GENERATE } from "../unit/tracing/harness.js";
import { RUN } from "../unit/tracing/spans/request-fixtures.js";
import { TracingHarness, until } from "./tracing-harness.js";

/** Two requests that share three steps; the second fails. Gives their trace ids. */
function twoRequests(tracing: Tracing, round: number): string[] {
  const start = monotonicMicros() - 10_000;
  const ids = [`${round}a`, `${round}b`];
  const traces = ids.map((id) => {
    const trace = tracing.startRequest({ method: "POST", path: "/v1/completions", headers: {}, start, remote: {} });
    trace.generating(start, GENERATE);
    trace.tokenized(start, start + 10, 3);
    const [queue, allocation] = [
      { start: start + 10, end: start + 20, depth: 0 },
      { start: start + 20, end: start + 30 },
    ];
    const kv = {
      tokens: 4,
      bytes: 4,
      reusedTokens: 0,
      evictedTokens: 0,
      waitMs: 0,
      poolBytes: 8,
      poolUtilization: 0.1,
    };
    trace.observe({ type: "admitted", id, queue, allocation: { ...allocation, ...kv }, run: RUN });
    return trace;
  });
  for (let number = 1; number <= 3; number++) {
    const at = start + number * 1_000;
    const size = { batchSize: 2, tokens: 2, contextTokens: 9 };
    const step: StepStats = {
      number: 3 * round + number,
      phase: "decode",
      start: at,
      end: at + 900,
      ...size,
      requests: ids,
    };
    tracing.recordStep(step, RUN);
  }
  const error = { code: "inference_failed", message: "no memory" } as const;
  traces[0]?.finish({ status: 200, at: start + 9_000 });
  traces[1]?.finish({ status: 500, at: start + 9_000, error });
  return traces.map(({ traceId }) => traceId);
}

describe("tracing: engine steps", () => {
  const harness = new TracingHarness();
  afterEach(() => harness.stop());

  it("are spans like any other: each delivered or counted, and none without a request that is kept", async () => {
    const zipkin = await harness.collector(202);
    const tail = { failed: true, longestMs: 60_000 };
    const tracing = harness.start(zipkin.endpoint, {}, { sampleRate: 0, tail });
    const failed = Array.from({ length: 20 }, (_, round) => twoRequests(tracing, round)[1]);
    await until(() => tracing.counters().queued === 0 && tracing.counters().delivered > 0);
    const spans = zipkin.received.flatMap(({ spans }) => spans);
    const steps = spans.filter(({ name }) => name === "engine.step");
    const { ended, delivered, sampledOut } = tracing.counters();
    assert.equal(steps.length, 60);
    assert.deepEqual([ended, delivered], [delivered + sampledOut, spans.length]);
    const named = steps.flatMap(({ annotations = [] }) => annotations.map(({ value }) => value));
    assert.deepEqual([...new Set(named)].sort(), failed.sort());
  });
});
