import assert from "node:assert/strict";
import { ThreadCounters } from "../../../../src/tracing/counters.js";
import type { SpanRecord } from "../../../../src/tracing/export/span-record.js";
import { type TailLimits, TailSampler } from "../../../../src/tracing/export/tail-sampler.js";
import { Harness, INCOMING } from "../harness.js";
import {
  ADMITTED,
  begin,
  complete,
  DECODE,
  ended,
  FINISHED,
  LOST,
  prefilled,
  token,
} from "../spans/request-fixtures.js";

const TAIL = { failed: true, slowTtftMs: 20, slowTotalMs: 50, longestMs: 60_000 };
const undecided = (tail = TAIL): Harness => new Harness({ sampleRate: 0, tail });

/** `sampling.reason` of the trace that is kept; undefined for none. */
function reason(harness: Harness): string | undefined {
  harness.drain();
  return [...harness.store.traces()].flatMap(({ spans }) =>
    spans.flatMap(({ tags }) => tags?.["sampling.reason"] ?? []),
  )[0];
}

/** Ended, and what became of it; the promise of the accounting. */
function account({ processor, counters }: Harness): Record<string, number> {
  const [delivered, sampledOut, queued, evicted] = (["delivered", "sampledOut", "queued", "tail_evicted"] as const).map(
    (slot) => counters.get(slot),
  );
  return { ended: processor.counts.ended, delivered, sampledOut, queued, evicted } as Record<string, number>;
}

describe("tail sampling of requests", () => {
  it("samples out a request that went well, and tells its caller and the log no", () => {
    const harness = undecided();
    const trace = complete(harness);
    assert.deepEqual([trace.sampled, trace.kept, reason(harness)], [false, false, undefined]);
    assert.equal(trace.responseHeaders()["x-b3-sampled"], "0");
    assert.deepEqual(account(harness), { ended: 8, delivered: 0, sampledOut: 8, queued: 0, evicted: 0 });
  });

  it("keeps all spans of one that failed", () => {
    const harness = undecided();
    const trace = begin(harness);
    for (const event of [ADMITTED, ended({ kind: "failed", error: LOST }, 9_000)]) trace.observe(event);
    assert.equal(trace.kept, false);
    trace.finish({ status: 503, at: 9_100, error: LOST });
    assert.deepEqual([trace.sampled, trace.kept, reason(harness)], [false, true, "error"]);
    assert.deepEqual(
      harness.tree().map((line) => line.trim().split(" ")[0]),
      ["post", "model.generate", "tokenize", "queue", "kv_cache.allocate", "inference.forward"],
    );
    assert.deepEqual(account(harness), { ended: 6, delivered: 6, sampledOut: 0, queued: 0, evicted: 0 });
  });

  it("keeps what was cancelled here, and not what its client left", () => {
    const cancel = (cause: "timeout" | "client_gone", status: number): string | undefined => {
      const harness = undecided();
      const trace = begin(harness);
      trace.observe(ended({ kind: "cancelled", cause }, 8_000));
      const code = cause === "timeout" ? "request_timeout" : "client_closed";
      trace.finish({ status, at: 8_100, error: { code, message: "told to the client" } });
      return reason(harness);
    };
    assert.deepEqual(
      [cancel("timeout", 504), cancel("timeout", 200), cancel("client_gone", 499)],
      ["cancelled", "cancelled", undefined],
    );
  });

  it("keeps no refusal that is the caller's doing", () => {
    const harness = undecided();
    harness.requests.start(INCOMING).finish({ status: 429, at: 10, error: { code: "queue_full", message: "later" } });
    assert.equal(reason(harness), undefined);
    harness.requests
      .start(INCOMING)
      .finish({ status: 503, at: 10, error: { code: "engine_not_ready", message: "later" } });
    assert.equal(reason(harness), "error");
  });

  it("knows a late first token when it comes", () => {
    const harness = undecided();
    const trace = begin(harness);
    for (const event of [ADMITTED, prefilled]) trace.observe(event);
    assert.equal(trace.kept, false);
    trace.observe(token(20_001));
    assert.equal(trace.kept, true);
    trace.observe(ended(FINISHED, 35_010, DECODE));
    trace.finish({ status: 200, at: 36_000 });
    assert.equal(reason(harness), "slow_ttft");
  });

  it("takes a request that never got a token for one that waited for it", () => {
    const harness = undecided();
    const trace = begin(harness);
    trace.finish({ status: 499, at: 20_001, error: { code: "client_closed", message: "the client left" } });
    assert.equal(reason(harness), "slow_ttft");
  });

  it("keeps what took long as a whole", () => {
    const harness = undecided();
    const trace = begin(harness);
    for (const event of [ADMITTED, prefilled, token(15_000), ended(FINISHED, 35_010, DECODE)]) trace.observe(event);
    trace.finish({ status: 200, at: 50_001 });
    assert.equal(reason(harness), "slow_total");
  });

  it("leaves what was chosen as it began without a reason", () => {
    const harness = new Harness({ sampleRate: 1, tail: TAIL });
    const trace = begin(harness);
    trace.finish({ status: 503, at: 9_100, error: LOST });
    assert.deepEqual([trace.kept, reason(harness)], [true, undefined]);
    assert.ok(harness.spans().length > 0);
  });

  it("honours a caller's denial: nothing is recorded", () => {
    const harness = undecided();
    const trace = begin(harness, {
      "x-b3-traceid": "463ac35c9f6413ad",
      "x-b3-spanid": "a2fb4a1d1a96d312",
      "x-b3-sampled": "0",
    });
    trace.finish({ status: 503, at: 9_100, error: LOST });
    assert.deepEqual([trace.kept, account(harness).ended], [false, 0]);
  });

  it("decides for a caller who left it open", () => {
    const harness = undecided();
    const trace = begin(harness, { "x-b3-traceid": "463ac35c9f6413ad", "x-b3-spanid": "a2fb4a1d1a96d312" });
    trace.finish({ status: 503, at: 9_100, error: LOST });
    assert.equal(reason(harness), "error");
  });
});

const LIMITS: TailLimits = { traces: 2, bytes: 1_000, ageMs: 100 };
const UNDECIDED = 8;
const LAST = 16;

/** The start of an encoded span, which is all that is looked at. */
function span(trace: number, flags: number, length = 100): Buffer {
  const bytes = Buffer.alloc(length, trace);
  bytes[0] = flags;
  return bytes;
}

class Tail {
  readonly counters = new ThreadCounters();
  readonly kept: number[] = [];
  now = 0;
  readonly #sampler = new TailSampler(LIMITS, this.counters, () => this.now);

  take(bytes: Buffer, reason?: string): boolean {
    const attributes: Record<string, string> = reason === undefined ? {} : { "sampling.reason": reason };
    const keep = (one: Buffer, start: number): void => void this.kept.push(one[start + 2] ?? 0);
    return this.#sampler.take(bytes, 0, bytes.length, () => ({ attributes }) as SpanRecord, keep);
  }

  expire(): void {
    this.#sampler.expire();
  }

  get counts(): number[] {
    return (["queued", "sampledOut", "tail_evicted"] as const).map((slot) => this.counters.get(slot));
  }
}

describe("TailSampler", () => {
  it("leaves what is decided alone", () => {
    const tail = new Tail();
    assert.equal(tail.take(span(1, LAST)), false);
    assert.deepEqual(tail.counts, [0, 0, 0]);
  });

  it("keeps copies, so that the ring's bytes may change", () => {
    const tail = new Tail();
    const bytes = span(1, UNDECIDED);
    tail.take(bytes);
    bytes.fill(9);
    tail.take(span(1, UNDECIDED | LAST), "error");
    assert.deepEqual(tail.kept, [1, 1]);
  });

  it("gives up the oldest trace past its number of traces, and counts it", () => {
    const tail = new Tail();
    for (const trace of [1, 1, 2, 3]) tail.take(span(trace, UNDECIDED));
    assert.deepEqual(tail.counts, [2, 0, 2]);
    tail.take(span(1, UNDECIDED | LAST), "error");
    tail.take(span(2, UNDECIDED | LAST), "error");
    assert.deepEqual(tail.kept, [1, 2, 2], "of a trace that was given up, what comes later is kept");
  });

  it("gives up the oldest trace past its bytes", () => {
    const tail = new Tail();
    tail.take(span(1, UNDECIDED, 600));
    tail.take(span(2, UNDECIDED, 400));
    assert.deepEqual(tail.counts, [2, 0, 0]);
    tail.take(span(2, UNDECIDED, 50));
    assert.deepEqual(tail.counts, [2, 0, 1]);
    tail.take(span(2, UNDECIDED | LAST));
    assert.deepEqual(tail.counts, [0, 3, 1]);
  });

  it("gives up a trace whose end does not come", () => {
    const tail = new Tail();
    tail.take(span(1, UNDECIDED));
    tail.now = 50;
    tail.take(span(2, UNDECIDED));
    tail.now = 100;
    tail.expire();
    assert.deepEqual(tail.counts, [2, 0, 0]);
    tail.now = 101;
    tail.expire();
    assert.deepEqual(tail.counts, [1, 0, 1]);
  });
});
