import assert from "node:assert/strict";
import { estimate, ratioEstimate } from "../../../../src/bench/metrics/estimate.js";
import { latenciesOf, meets } from "../../../../src/bench/metrics/latencies.js";
import { LatencyHistogram } from "../../../../src/bench/metrics/latency-histogram.js";
import { durationOf, summarize } from "../../../../src/bench/metrics/summary.js";
import type { RequestRecord } from "../../../../src/bench/result.js";

/** Due at 100, sent at 110, first token at 150, five tokens by 190. */
const ANSWERED: RequestRecord = {
  repeat: 0,
  intended: 100,
  sent: 110,
  firstToken: 150,
  end: 190,
  gaps: [10, 10, 5, 15],
  promptTokens: 20,
  outputTokens: 5,
  outcome: { kind: "ok" },
};

const near = (actual: number | undefined, expected: number): void =>
  assert.ok(Math.abs((actual ?? Number.NaN) - expected) < 1e-3 * Math.abs(expected), `${actual} for ${expected}`);

describe("latencies of a request", () => {
  it("count from when it was meant to be sent; TPOT is without the first token", () => {
    assert.deepEqual(latenciesOf(ANSWERED), { queue: 10, ttft: 50, e2e: 90, tpot: 10 });
  });

  it("are absent where they mean nothing: TPOT of one token, both of an answer in one piece", () => {
    assert.deepEqual(Object.keys(latenciesOf({ ...ANSWERED, outputTokens: 1 })), ["queue", "e2e", "ttft"]);
    const { firstToken: _, ...whole } = ANSWERED;
    assert.deepEqual(Object.keys(latenciesOf(whole)), ["queue", "e2e"]);
  });

  it("meet limits that they are equal to, each of them, ITL by its longest gap", () => {
    const meeting = (metric: "ttft" | "tpot" | "itl" | "e2e", limitMs: number) =>
      meets(ANSWERED, [{ metric, limitMs }]);
    assert.deepEqual(
      [meeting("ttft", 50), meeting("tpot", 10), meeting("itl", 15), meeting("e2e", 90)],
      Array(4).fill(true),
    );
    assert.deepEqual(
      [meeting("ttft", 49), meeting("tpot", 9), meeting("itl", 14), meeting("e2e", 89)],
      Array(4).fill(false),
    );
    const both = [{ metric: "ttft", limitMs: 50 } as const, { metric: "e2e", limitMs: 89 } as const];
    assert.equal(meets(ANSWERED, both), false);
    assert.ok(meets({ ...ANSWERED, outputTokens: 1 }, [{ metric: "tpot", limitMs: 1 }]));
  });
});

describe("estimates", () => {
  it("are means with Student's interval", () => {
    // Mean 3, deviation √2.5, t(4) 2.776: half of the interval is 1.963.
    const { value, low, high } = estimate([1, 2, 3, 4, 5]);
    assert.equal(value, 3);
    near(low, 3 - 1.963);
    near(high, 3 + 1.963);
    near(estimate([10, 12]).high, 11 + 12.706);
  });

  it("have no interval with one value", () => {
    assert.deepEqual(estimate([7]), { value: 7 });
  });

  it("of ratios are geometric: what halves and doubles is even", () => {
    const { value, low = 0, high = 0 } = ratioEstimate([0.5, 2]);
    near(value, 1);
    near(low * high, 1);
    assert.ok(low < 1 && high > 1);
  });
});

describe("latency histogram", () => {
  it("has percentiles to three digits, and the exact mean and most", () => {
    const histogram = new LatencyHistogram();
    for (let ms = 1; ms <= 1_000; ms++) histogram.add(ms);
    for (const percent of [50, 90, 95, 99]) near(histogram.percentile(percent), percent * 10);
    assert.deepEqual([histogram.count, histogram.sum, histogram.max], [1_000, 500_500, 1_000]);
    assert.equal(histogram.percentile(100), 1_000);
  });

  it("takes what is below a microsecond and above an hour", () => {
    const histogram = new LatencyHistogram();
    for (const ms of [-1, 0, 0.0001, 1e9]) histogram.add(ms);
    assert.equal(histogram.count, 4);
    assert.equal(histogram.max, 1e9);
  });
});

describe("summary", () => {
  const at = (repeat: number, begin: number, took: number, more: Partial<RequestRecord> = {}): RequestRecord => ({
    ...{ repeat, intended: begin, sent: begin, firstToken: begin + 10, end: begin + took, gaps: [] },
    ...{ promptTokens: 30, outputTokens: 11, outcome: { kind: "ok" } },
    ...more,
  });
  const RECORDS: readonly RequestRecord[] = [
    // The first repeat lasts 500 ms, and the second 1,000, long after it.
    at(0, 0, 110),
    at(0, 400, 100, { firstToken: 450 }),
    at(0, 100, 50, { outcome: { kind: "http", status: 429, code: "queue_full" } }),
    at(1, 10_000, 1_000),
    at(1, 10_100, 20, { outcome: { kind: "cancelled" } }),
    at(1, 10_200, 30, { outcome: { kind: "broken", reason: "truncated" } }),
    at(1, 10_300, 40, { outcome: { kind: "http", status: 429 } }),
  ];
  const summary = summarize(RECORDS, [{ metric: "ttft", limitMs: 20 }]);

  it("counts requests by what became of them", () => {
    const { requests, ok, cancelled, errors } = summary;
    assert.deepEqual({ requests, ok, cancelled }, { requests: 7, ok: 3, cancelled: 1 });
    assert.deepEqual(errors, { "http 429": 2, "broken truncated": 1 });
  });

  it("has rates of each repeat's own time, over answered requests", () => {
    near(durationOf(RECORDS), 1_500);
    near(summary.requestsPerSecond.value, (4 + 1) / 2);
    near(summary.inputTokensPerSecond.value, (120 + 30) / 2);
    near(summary.outputTokensPerSecond.value, (44 + 11) / 2);
    near(summary.goodput?.value, (2 + 1) / 2);
    assert.ok((summary.requestsPerSecond.high ?? 0) > 2.5);
  });

  it("has latencies of answered requests only: percentiles are means over repeats, the most is of all", () => {
    const { e2e, ttft, tpot } = summary.latencies;
    assert.equal(e2e?.count, 3);
    assert.equal(e2e?.max, 1_000);
    near(e2e?.mean, 1_210 / 3);
    near(e2e?.p99.value, (110 + 1_000) / 2);
    near(e2e?.p50.value, (100 + 1_000) / 2);
    near(ttft?.p50.value, 10);
    near(tpot?.p99.value, (10 + 99) / 2);
  });

  it("leaves out latencies that nobody had, and goodput without limits", () => {
    const bare = summarize([at(0, 0, 10, { outcome: { kind: "cancelled" } })], []);
    assert.deepEqual(bare.latencies, {});
    assert.equal(bare.goodput, undefined);
    assert.equal(bare.requestsPerSecond.value, 0);
  });
});
