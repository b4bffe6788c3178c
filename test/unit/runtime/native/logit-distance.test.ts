import assert from "node:assert/strict";
import { candidatesError, distance, expect, isSound, spread } from "../../../../src/runtime/native/logit-distance.js";

describe("distances of logits", () => {
  it("are Euclidean, and a spread is that from their mean", () => {
    assert.equal(distance(Float32Array.of(1, 2, 3), Float32Array.of(1, 5, -1)), 5);
    assert.equal(spread(Float32Array.of(7, 7, 1, 1)), 6);
  });

  it("are measured by the nearest other text, or a fifth of the spread", () => {
    const logits = Float32Array.of(7, 7, 1, 1);
    const [near, far] = [Float32Array.of(7, 9, 1, 1), Float32Array.of(7, 7, 1, 9)];
    assert.equal(expect(logits, [far, near]).contrast, 2);
    assert.equal(expect(logits, [far, Float32Array.of(7, 7.5, 1, 1)]).contrast, 0.2 * 6);
  });

  it("are of finite numbers only", () => {
    assert.equal(isSound(Float32Array.of(1, -2)), true);
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      assert.equal(isSound(Float32Array.of(1, wrong)), false);
    }
  });
});

describe("the likeliest tokens", () => {
  const row = Float32Array.of(3, 9, 5, 9, 1, 5);
  const error = (ids: number[], logits: number[]): number =>
    candidatesError({ ids: Int32Array.from(ids), logits: Float32Array.from(logits) }, row);

  it("are right in order, whichever of equals comes first or stays out", () => {
    assert.equal(error([1, 3, 2], [9, 9, 5]), 0);
    assert.equal(error([3, 1, 5], [9, 9, 5]), 0);
    assert.equal(error([1, 3, 2, 5, 0, 4], [9, 9, 5, 5, 3, 1]), 0);
  });

  const wrong: [string, number[], number[], number][] = [
    ["a token with another's logit", [1, 0, 2], [9, 9, 5], 2 / 3],
    ["a token twice", [1, 1, 2], [9, 9, 5], 2 / 3],
    ["tokens out of order", [1, 2, 3], [9, 5, 9], 1 / 3],
    ["likelier ones left out", [2, 5, 0], [5, 5, 3], 2 / 3],
    ["an id that is none", [1, 3, 6], [9, 9, 5], 1 / 3],
    ["no number", [1, 3, 2], [9, 9, Number.NaN], 1],
    ["none at all", [], [], 1],
  ];
  for (const [name, ids, logits, share] of wrong) {
    it(`are wrong with ${name}`, () => assert.ok(Math.abs(error(ids, logits) - share) < 1e-6, `${error(ids, logits)}`));
  }
});
