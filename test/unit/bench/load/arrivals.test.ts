import assert from "node:assert/strict";
import { mean, sampleStandardDeviation } from "simple-statistics";
import { seededRandom } from "../../../../models/tiny/random.js";
import { arrivals, type Rate, type Spacing } from "../../../../src/bench/load/arrivals.js";
import { gamma } from "../../../../src/bench/load/random.js";

const CONSTANT: Spacing = { kind: "constant" };

function first(count: number, rate: Rate, spacing: Spacing, seed = 1): number[] {
  const times: number[] = [];
  for (const time of arrivals(rate, spacing, seededRandom(seed))) {
    times.push(time);
    if (times.length === count) break;
  }
  return times;
}

const gapsOf = (times: readonly number[]): number[] => times.slice(1).map((time, i) => time - (times[i] ?? 0));

describe("arrivals", () => {
  it("come evenly where they are constant", () => {
    assert.deepEqual(first(5, { to: 4 }, CONSTANT), [0, 250, 500, 750, 1000]);
  });

  for (const shape of [0.25, 1, 4]) {
    it(`have the rate and the spread of a gamma distribution of shape ${shape}`, () => {
      const gaps = gapsOf(first(20_001, { to: 10 }, { kind: "gamma", shape }));
      assert.ok(Math.abs(mean(gaps) - 100) < 100 * 0.05, `mean ${mean(gaps)}`);
      const spread = sampleStandardDeviation(gaps) / mean(gaps);
      assert.ok(Math.abs(spread - 1 / Math.sqrt(shape)) < 0.05 / Math.sqrt(shape), `spread ${spread}`);
    });
  }

  it("are a Poisson process of shape 1: a share of 1/e of the gaps is longer than the mean", () => {
    const gaps = gapsOf(first(20_001, { to: 1 }, { kind: "gamma", shape: 1 }));
    const longer = gaps.filter((gap) => gap > 1000).length / gaps.length;
    assert.ok(Math.abs(longer - Math.exp(-1)) < 0.01, `${longer}`);
  });

  it("come together, never out of order, however bursty", () => {
    assert.ok(gapsOf(first(1_000, { to: 1 }, { kind: "gamma", shape: 0.05 })).every((gap) => gap >= 0));
  });

  it("rise evenly on a ramp and keep its last rate after it", () => {
    // From 1 to 3 a second over 10 s: t + t²/10 have come by t.
    const times = first(27, { from: 1, to: 3, overMs: 10_000 }, CONSTANT);
    for (const [count, time] of times.entries()) {
      const t = time / 1e3;
      const due = t <= 10 ? t + (t * t) / 10 : 20 + (t - 10) * 3;
      assert.ok(Math.abs(due - count) < 1e-9, `arrival ${count} at ${time}`);
    }
    assert.equal(times[20], 10_000);
    assert.ok(Math.abs((times[23] ?? 0) - 11_000) < 1e-9);
  });

  it("fall on a ramp downwards, and on a level one are constant", () => {
    const falling = gapsOf(first(20, { from: 3, to: 1, overMs: 10_000 }, CONSTANT));
    assert.ok(falling.every((gap, i) => i === 0 || gap > (falling[i - 1] ?? 0)));
    assert.deepEqual(first(3, { from: 2, to: 2, overMs: 10_000 }, CONSTANT), [0, 500, 1000]);
  });

  it("are the same for the same seed, and others for another", () => {
    const spacing: Spacing = { kind: "gamma", shape: 1 };
    assert.deepEqual(first(9, { to: 1 }, spacing, 7), first(9, { to: 1 }, spacing, 7));
    assert.notDeepEqual(first(9, { to: 1 }, spacing, 7), first(9, { to: 1 }, spacing, 8));
  });
});

describe("gamma variates", () => {
  it("have a variance of 1 / shape, below 1 too", () => {
    for (const shape of [0.2, 0.5, 2.5]) {
      const random = seededRandom(3);
      const drawn = Array.from({ length: 40_000 }, () => gamma(shape, random));
      assert.ok(drawn.every((value) => value >= 0));
      assert.ok(Math.abs(sampleStandardDeviation(drawn) ** 2 * shape - 1) < 0.06, `shape ${shape}`);
    }
  });
});
