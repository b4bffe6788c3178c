import assert from "node:assert/strict";
import type { StepStats } from "../../../../src/protocol.js";
import type { RequestTrace } from "../../../../src/tracing/contract.js";
import type { ZipkinSpan } from "../../../../src/tracing/export/zipkin-span.js";
import { stepTraceId } from "../../../../src/tracing/spans/trace-ids.js";
import { EPOCH, GENERATE, Harness, INCOMING } from "../harness.js";
import { ADMITTED, ended as endedEvent, FINISHED, RUN } from "./request-fixtures.js";

const TAIL = { failed: true, longestMs: 1_000 } as const;
const FAILED = { kind: "failed", error: { code: "inference_failed", message: "no memory" } } as const;
const SAMPLED = { "x-b3-sampled": "1" };
const DENIED = { "x-b3-sampled": "0" };

const step = (number: number, requests: readonly string[], change: Partial<StepStats> = {}): StepStats => ({
  number,
  phase: "decode",
  start: 20_000,
  end: 22_500,
  batchSize: 5,
  tokens: 7,
  contextTokens: 900,
  expectedMs: 2.34567,
  requests,
  ...change,
});

/** A request that the engine knows by these ids, and has admitted. */
function request(harness: Harness, ids: readonly string[], headers: Record<string, string> = {}): RequestTrace {
  const trace = harness.requests.start({ ...INCOMING, headers });
  const seeds = ids.map((id) => ({ id, seed: 1 }));
  trace.generating(500, ids.length === 1 ? GENERATE : { ...GENERATE, choices: seeds });
  trace.tokenized(600, 1_900, 12);
  for (const id of ids) trace.observe({ ...ADMITTED, id });
  return trace;
}

function end(trace: RequestTrace, ids: readonly string[], outcome: typeof FINISHED | typeof FAILED = FINISHED): void {
  for (const id of ids) trace.observe({ ...endedEvent(outcome), id });
  trace.finish({ status: outcome.kind === "finished" ? 200 : 500, at: 36_000 });
}

function stepsOf(harness: Harness): readonly ZipkinSpan[] {
  harness.drain();
  return [...harness.store.traces()].flatMap(({ spans }) => spans).filter(({ name }) => name === "engine.step");
}

/** Numbers of the steps there are, with the requests they name. */
function named(harness: Harness): string[] {
  return stepsOf(harness).map(({ tags, annotations = [] }) =>
    `${tags?.["ai.step.number"]}: ${annotations.map(({ value }) => value).join(" ")}`.trim(),
  );
}

describe("StepTraces", () => {
  it("makes a step a trace of one span that names the requests in it", () => {
    const harness = new Harness();
    const [a, b] = [request(harness, ["a"]), request(harness, ["b"])];
    harness.steps.record(step(143, ["a", "b"]), RUN);
    const [span] = stepsOf(harness);
    assert.ok(span);
    const { id, ...rest } = span;
    assert.match(id, /^[0-9a-f]{16}$/);
    assert.deepEqual(rest, {
      traceId: stepTraceId(RUN, 143),
      name: "engine.step",
      timestamp: EPOCH + 20_000,
      duration: 2_500,
      localEndpoint: { serviceName: "vitrine" },
      annotations: [a, b].map(({ traceId: value }) => ({ timestamp: EPOCH + 20_000, value })),
      tags: {
        "ai.step.number": "143",
        "ai.phase": "decode",
        "ai.step.requests": "2",
        "ai.batch.size": "5",
        "ai.tokens": "7",
        "ai.step.context_tokens": "900",
        "ai.step_ms.expected": "2.346",
        "ai.cost.device_seconds": "0.0025",
        "ai.model.name": "tiny",
        "ai.device": "cuda:1",
      },
    });
  });

  it("names a request of several choices once, by the id that Zipkin files it under", () => {
    const harness = new Harness();
    request(harness, ["a-0", "a-1"], { "x-b3-traceid": "463ac35c9f6413ad", "x-b3-spanid": "00f067aa0ba902b7" });
    harness.steps.record(step(1, ["a-0", "a-1"]), RUN);
    assert.deepEqual(named(harness), ["1: 463ac35c9f6413ad"]);
  });

  it("marks a step that failed", () => {
    const harness = new Harness();
    request(harness, ["a"]);
    harness.steps.record(step(1, ["a"], { error: FAILED.error }), RUN);
    const [{ tags } = {}] = stepsOf(harness);
    assert.deepEqual([tags?.error, tags?.["error.type"]], ["no memory", "inference_failed"]);
  });

  it("names 64 requests at most, and says how many there are", () => {
    const harness = new Harness();
    const ids = Array.from({ length: 70 }, (_, i) => `r${i}`);
    for (const id of ids) request(harness, [id]);
    harness.steps.record(step(1, ids), RUN);
    const [{ tags, annotations } = {}] = stepsOf(harness);
    assert.deepEqual([tags?.["ai.step.requests"], annotations?.length], ["70", 64]);
  });

  it("makes nothing of a step whose requests are not recorded, or are over", () => {
    const harness = new Harness();
    request(harness, ["denied"], DENIED);
    const over = request(harness, ["over"]);
    end(over, ["over"]);
    const { ended } = harness.processor.counts;
    harness.steps.record(step(1, ["denied", "over", "unknown"]), RUN);
    assert.deepEqual(named(harness), []);
    assert.equal(harness.processor.counts.ended, ended);
  });

  it("waits until its requests are decided, and names those that are kept", () => {
    const harness = new Harness({ sampleRate: 0, tail: TAIL });
    const [sampled, good, bad] = [SAMPLED, {}, {}].map((headers, i) => request(harness, [`${i}`], headers));
    assert.ok(sampled && good && bad);
    harness.steps.record(step(1, ["0"]), RUN);
    harness.steps.record(step(2, ["0", "1", "2"]), RUN);
    harness.steps.record(step(3, ["1"]), RUN);
    harness.steps.record(step(4, ["1", "2"]), RUN);
    assert.deepEqual(named(harness), [`1: ${sampled.traceId}`]);
    end(good, ["1"]);
    assert.deepEqual(named(harness), [`1: ${sampled.traceId}`]);
    end(bad, ["2"], FAILED);
    const both = `2: ${sampled.traceId} ${bad.traceId}`;
    assert.deepEqual(named(harness), [`1: ${sampled.traceId}`, both, `4: ${bad.traceId}`]);
  });

  it("tells steps in batches, and those that are decided before a request is over", () => {
    const harness = new Harness({}, { held: 100, batch: 3 });
    const trace = request(harness, ["a"]);
    for (const [number, told] of [0, 0, 3, 3].entries()) {
      harness.steps.record(step(number, ["a"]), RUN);
      assert.equal(named(harness).length, told);
    }
    end(trace, ["a"]);
    assert.equal(named(harness).length, 4);
  });

  it("does not wait for a request that is known to be kept", () => {
    const harness = new Harness({ sampleRate: 0, tail: { ...TAIL, slowTtftMs: 1 } });
    const slow = request(harness, ["slow"]);
    slow.observe({ type: "token", id: "slow", token: 7, at: 15_000 });
    harness.steps.record(step(1, ["slow"]), RUN);
    assert.deepEqual(named(harness), [`1: ${slow.traceId}`]);
  });

  it("gives up the oldest steps when too many wait, and says so in the requests that lost them", () => {
    const harness = new Harness({ sampleRate: 0, tail: TAIL }, { held: 2, batch: 1 });
    const [sampled, bad] = [request(harness, ["0"], SAMPLED), request(harness, ["1"])];
    for (let number = 1; number <= 5; number++)
      harness.steps.record(step(number, number === 2 ? ["0", "1"] : ["1"]), RUN);
    assert.deepEqual(named(harness), [`2: ${sampled.traceId}`]);
    end(bad, ["1"], FAILED);
    assert.deepEqual(named(harness), [`2: ${sampled.traceId}`, `4: ${bad.traceId}`, `5: ${bad.traceId}`]);
    const generate = harness.store.trace(bad.traceId)?.spans.find(({ name }) => name === "model.generate");
    assert.equal(generate?.tags?.["ai.steps.lost"], "3");
  });
});
