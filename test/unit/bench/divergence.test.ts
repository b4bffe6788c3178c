import assert from "node:assert/strict";
import { divergence, largestDifference, logProbabilities } from "../../bench/quality/divergence.js";

const near = (actual: number, expected: number): void =>
  assert.ok(Math.abs(actual - expected) < 1e-6, `${actual} is not ${expected}`);

describe("divergence of next-token distributions", () => {
  it("reads logits as probabilities, however large they are", () => {
    const uneven = logProbabilities(Float32Array.of(0, Math.log(3)));
    near(Math.exp(uneven[0] as number), 1 / 4);
    near(Math.exp(uneven[1] as number), 3 / 4);
    for (const large of [1000, -1000]) {
      near(Math.exp(logProbabilities(Float32Array.of(large, large))[0] as number), 1 / 2);
    }
  });

  it("is 0 for equal ones, and the Kullback-Leibler divergence from the reference for others", () => {
    const even = logProbabilities(Float32Array.of(0, 0));
    const uneven = logProbabilities(Float32Array.of(0, Math.log(3)));
    near(divergence(uneven, uneven), 0);
    near(divergence(even, uneven), Math.log(2) - Math.log(3) / 2);
    near(divergence(uneven, even), 0.75 * Math.log(3) - Math.log(2));
  });

  it("tells the largest difference, of either sign", () => {
    near(largestDifference(Float32Array.of(1, 5, 2), Float32Array.of(1, 2, 4)), 3);
  });
});
