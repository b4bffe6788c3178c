import assert from "node:assert/strict";
import { positionLogprobs } from "../../../../src/engine/sampling/logprobs.js";
import { Random } from "../../../../src/engine/sampling/random.js";
import { VitrineError } from "../../../../src/errors.js";
import { logSoftmax } from "./reference-sampler.js";

const near = (one: number | undefined, other: number | undefined): boolean =>
  one === other || Math.abs((one ?? Number.NaN) - (other ?? Number.NaN)) < 1e-9;

describe("log probabilities", () => {
  it("are those of a sorted softmax, for logits of every spread, with ties and ruled-out tokens", () => {
    const random = Random.seeded(17);
    for (let round = 0; round < 400; round++) {
      const size = 1 + Math.floor(random.nextFloat() * 60);
      const spread = [0.1, 5, 80][round % 3] ?? 1;
      const step = round % 2 === 0 ? 0 : spread / 4;
      const logits = Float32Array.from({ length: size }, () => {
        if (random.nextFloat() < 0.1) return Number.NEGATIVE_INFINITY;
        const logit = (random.nextFloat() - 0.5) * spread;
        return step === 0 ? logit : Math.round(logit / step) * step;
      });
      logits[Math.floor(random.nextFloat() * size)] = 0;
      const expected = logSoftmax(logits);
      const ranked = [...expected.keys()]
        .filter((id) => expected[id] !== Number.NEGATIVE_INFINITY)
        .sort((a, b) => (expected[b] ?? 0) - (expected[a] ?? 0) || a - b);
      const token = Math.floor(random.nextFloat() * size);
      for (const top of [0, 1, 5, 20]) {
        const found = positionLogprobs(logits, token, top);
        assert.equal(found.token, token);
        assert.ok(near(found.logprob, expected[token]));
        assert.deepEqual(
          found.top.map(({ token }) => token),
          ranked.slice(0, top),
        );
        assert.ok(found.top.every(({ token, logprob }) => near(logprob, expected[token])));
      }
    }
  });

  it("give a token without a logit minus infinity", () => {
    assert.equal(positionLogprobs(Float32Array.of(1, 2), 9, 1).logprob, Number.NEGATIVE_INFINITY);
  });

  it("are refused where there is no distribution", () => {
    for (const logits of [
      [1, Number.NaN, 0],
      [Number.NaN, 0, 0],
      [9, 8, Number.NaN],
      [Infinity, 1],
      [-Infinity, -Infinity],
    ]) {
      assert.throws(
        () => positionLogprobs(Float32Array.from(logits), 0, 1),
        (thrown: unknown) => thrown instanceof VitrineError && thrown.code === "inference_failed",
      );
    }
  });
});
