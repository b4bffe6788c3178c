import assert from "node:assert/strict";
import { isMet } from "../../bench/report.js";
import { poissonArrivals } from "../../bench/tracing/load.js";
import { pairedRatio } from "../../bench/tracing/paired.js";

describe("a paired ratio", () => {
  it("compares what ran in the same pass, not the medians of all", () => {
    // A machine that slows down tenfold while this is always 2 % slower than its peer.
    const peer = [1, 2, 4, 8, 10];
    const { ratio, spread } = pairedRatio(
      peer.map((cost) => cost * 1.02),
      peer,
    );
    for (const value of [ratio, ...spread]) assert.ok(Math.abs(value - 1 / 1.02) < 1e-9);
  });

  it("has an interval that narrows with the number of passes and holds the median", () => {
    const noisy = (passes: number) => Array.from({ length: passes }, (_, pass) => 1 + ((pass * 7) % 11) / 100);
    const few = pairedRatio(noisy(11), noisy(11).fill(1));
    const many = pairedRatio(noisy(440), noisy(440).fill(1));
    const width = ({ spread: [low, high] }: typeof few) => high - low;
    assert.ok(width(many) < width(few) / 2);
    assert.ok(few.spread[0] <= few.ratio && few.ratio <= few.spread[1]);
  });

  it("is the same for the same numbers", () => {
    const [own, peer] = [
      [1, 1.1, 0.9, 1.05],
      [1, 1, 1.2, 1],
    ];
    assert.deepEqual(pairedRatio(own, peer), pairedRatio(own, peer));
  });
});

describe("a target of a benchmark", () => {
  const row = { name: "", against: "", target: 0.99 };

  it("is met or missed where the whole interval is on one side of it, and open else", () => {
    const met = (low: number, high: number) => isMet({ ...row, ratio: 0.995, spread: [low, high], confidence: 0.95 });
    assert.equal(met(0.99, 1.01), true);
    assert.equal(met(0.97, 0.98), false);
    assert.equal(met(0.98, 1.01), null);
  });

  it("is judged by the median where the spread is the rounds' own", () => {
    assert.equal(isMet({ ...row, ratio: 0.995, spread: [0.8, 1.1] }), true);
    assert.equal(isMet({ ...row, ratio: 0.985, spread: [0.8, 1.1] }), false);
    assert.equal(isMet({ name: "", against: "", ratio: 1, spread: [1, 1] }), null);
  });
});

describe("arrivals of requests", () => {
  it("come in order, within the time, at the rate, and the same for the same random numbers", () => {
    const source = () => {
      let state = 1;
      return () => {
        state = (state * 48271) % 2147483647;
        return state / 2147483647;
      };
    };
    const arrivals = poissonArrivals(50, 20_000, source());
    assert.deepEqual(arrivals, poissonArrivals(50, 20_000, source()));
    assert.deepEqual(
      arrivals,
      [...arrivals].sort((a, b) => a - b),
    );
    assert.ok(arrivals.every((at) => at > 0 && at <= 20_000));
    assert.ok(Math.abs(arrivals.length - 1_000) < 150);
  });
});
