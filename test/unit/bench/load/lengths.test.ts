import assert from "node:assert/strict";
import { mean, median, sampleStandardDeviation } from "simple-statistics";
import { seededRandom } from "../../../../models/tiny/random.js";
import { drawLength, parseLengths } from "../../../../src/bench/load/lengths.js";

function drawn(text: string): number[] {
  const lengths = parseLengths(text);
  assert.ok(lengths !== undefined);
  const random = seededRandom(5);
  return Array.from({ length: 10_000 }, () => drawLength(lengths, random));
}

describe("length distributions", () => {
  it("are drawn as they are written", () => {
    assert.deepEqual([...new Set(drawn("128"))], [128]);
    const uniform = drawn("uniform:3,5");
    assert.deepEqual([...new Set(uniform)].sort(), [3, 4, 5]);
    const normal = drawn("normal:100,10");
    assert.ok(Math.abs(mean(normal) - 100) < 1 && Math.abs(sampleStandardDeviation(normal) - 10) < 0.5);
    const lognormal = drawn("lognormal:200,0.5");
    assert.ok(Math.abs(median(lognormal) - 200) < 5);
    assert.ok(Math.abs(sampleStandardDeviation(lognormal.map(Math.log)) - 0.5) < 0.02);
  });

  it("never go below one token", () => {
    assert.equal(Math.min(...drawn("normal:2,10")), 1);
  });

  it("are refused where they mean nothing", () => {
    for (const text of ["", "0", "-1", "1.5", "uniform:5", "uniform:5,3", "normal:5", "5,3", "poisson:3,4", "x"]) {
      assert.equal(parseLengths(text), undefined, text);
    }
  });
});
