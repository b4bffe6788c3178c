import assert from "node:assert/strict";
import { weigh, weighFrom } from "../../../../src/engine/sampling/weight.js";

const STEPS_PER_E = 1024 / Math.LN2;

describe("weigh", () => {
  it("is the exponential function, to 13 digits", () => {
    for (let exponent = 0; exponent > -100; exponent -= 0.00137) {
      const error = weigh(exponent * STEPS_PER_E) / Math.exp(exponent) - 1;
      assert.ok(Math.abs(error) < 1e-13, `${error} at ${exponent}`);
    }
  });

  it("is exactly 1 for 0, and less for less", () => {
    assert.equal(weigh(0), 1);
    // Around a whole step, and between two.
    for (let step = 0; step > -3; step -= 0.001) assert.ok(weigh(step - 0.001) < weigh(step), `${step}`);
  });
});

describe("weighFrom", () => {
  it("weighs what reaches the floor, in the order of ids", () => {
    const ids = new Int32Array(5);
    const weights = new Float64Array(5);
    const logits = Float32Array.of(-3, 2, -1, Number.NEGATIVE_INFINITY, 1);
    assert.equal(weighFrom(-1, logits, 2, 0.5, ids, weights), 3);
    assert.deepEqual([...ids.subarray(0, 3)], [1, 2, 4]);
    for (const [at, exponent] of [0, -6, -2].entries()) {
      assert.ok(Math.abs((weights[at] as number) / Math.exp(exponent) - 1) < 1e-13);
    }
  });
});
