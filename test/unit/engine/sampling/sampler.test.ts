import assert from "node:assert/strict";
import fc from "fast-check";
import { Random } from "../../../../src/engine/sampling/random.js";
import { isContentWithTop, Sampler, type SamplingState } from "../../../../src/engine/sampling/sampler.js";
import { TokenCounts } from "../../../../src/engine/sampling/token-counts.js";
import { VitrineError } from "../../../../src/errors.js";
import type { SamplingParams } from "../../../../src/protocol.js";
import { GREEDY } from "../../../support/engine-requests.js";
import { topOf } from "../../../support/fake-runner.js";
import { distribution, logSoftmax, penalized } from "./reference-sampler.js";

const warm = (params: Partial<SamplingParams>): SamplingParams => ({ ...GREEDY, temperature: 1, ...params });

/** A state that draws this number. */
const drawing = (params: SamplingParams, uniform: number): SamplingState => ({
  params,
  random: { nextFloat: () => uniform },
  counts: undefined,
  suppressed: undefined,
});

const forbidden: SamplingState["random"] = {
  nextFloat: () => assert.fail("greedy sampling must not draw"),
};

/** Normally distributed logits; `step` makes ties by rounding to its multiples. */
function randomLogits(random: Random, size: number, deviation: number, step = 0): Float32Array {
  return Float32Array.from({ length: size }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random.nextFloat()));
    const logit = deviation * radius * Math.cos(2 * Math.PI * random.nextFloat());
    return step === 0 ? logit : Math.round(logit / step) * step;
  });
}

/**
 * Asserts that every id is drawn from exactly its own part of [0, 1) in the reference's distribution: the support,
 * the probabilities and the order of the walk, in one.
 */
function assertDistribution(logits: Float32Array, params: SamplingParams): void {
  const sampler = new Sampler(logits.length);
  let below = 0;
  for (const { id, probability } of distribution(logits, params)) {
    const inset = Math.min(1e-9, probability / 4);
    // A part smaller than a rounding error of the sum cannot be aimed at.
    if (probability > 1e-12) {
      for (const uniform of [below + inset, below + probability / 2, below + probability - inset]) {
        assert.equal(sampler.sample(logits.slice(), drawing(params, uniform)), id, JSON.stringify({ params, uniform }));
      }
    }
    below += probability;
  }
}

describe("Sampler", () => {
  const cuts: Partial<SamplingParams>[] = [
    {},
    { temperature: 0.3 },
    { temperature: 2.5 },
    { topK: 1 },
    { topK: 7 },
    { topK: 10_000 },
    { topP: 0.1 },
    { topP: 0.9 },
    { topP: 0.999 },
    { minP: 0.05 },
    { minP: 1 },
    { topK: 40, topP: 0.8 },
    { topP: 0.95, minP: 0.1 },
    { temperature: 0.7, topK: 20, topP: 0.9, minP: 0.02 },
    { typicalP: 0.001 },
    { typicalP: 0.2 },
    { typicalP: 0.95 },
    { typicalP: 0.9999999 },
    { temperature: 0.05, typicalP: 0.5 },
    { temperature: 100, typicalP: 0.5 },
    { temperature: 1.7, typicalP: 0.6 },
    { temperature: 0.8, topK: 30, topP: 0.9, minP: 0.01, typicalP: 0.5 },
  ];

  for (const cut of cuts) {
    it(`draws from the reference's distribution with ${JSON.stringify(cut)}`, () => {
      const random = Random.seeded(11);
      for (const size of [1, 2, 5, 64, 300]) {
        assertDistribution(randomLogits(random, size, 3), warm(cut));
        assertDistribution(randomLogits(random, size, 0.2), warm(cut));
      }
    });
  }

  it("draws from the reference's distribution, whatever the logits and the cuts", () => {
    const logit = fc.oneof(
      fc.integer({ min: -1000, max: 1000 }).map((sixteenths) => sixteenths / 16),
      fc.constantFrom(0, 1, 2, -500, Number.NEGATIVE_INFINITY),
    );
    const params = fc.record({
      temperature: fc.double({ min: 0.05, max: 2, noNaN: true }),
      topK: fc.integer({ min: 0, max: 12 }),
      // No sum of equal parts is one of these, so that rounding does not decide.
      topP: fc.constantFrom(1, 0.9993, 0.9001, 0.5003, 0.1007),
      minP: fc.constantFrom(0, 0.01, 0.3, 1),
    });
    fc.assert(
      fc.property(fc.array(logit, { minLength: 1, maxLength: 24 }), params, (logits, cut) => {
        fc.pre(logits.some((one) => one > Number.NEGATIVE_INFINITY));
        assertDistribution(Float32Array.from(logits), warm(cut));
      }),
      { numRuns: 300 },
    );
  });

  it("chooses the first of the largest, wherever it is", () => {
    const greedy: SamplingState = { params: GREEDY, random: forbidden, counts: undefined, suppressed: undefined };
    for (const size of [1, 7, 8, 9, 16, 21]) {
      const sampler = new Sampler(size);
      for (let at = 0; at < size; at++) {
        const logits = Float32Array.from({ length: size }, (_, id) => (id < at ? -2 : -1));
        assert.equal(sampler.sample(logits, greedy), at);
      }
    }
  });

  it("breaks ties as documented: all of the k-th's in top_k, the lowest ids in top_p, all of them in min_p", () => {
    const equal = new Float32Array(8);
    const seen = (params: SamplingParams): number[] => {
      const sampler = new Sampler(8);
      const draws = Array.from({ length: 64 }, (_, i) =>
        sampler.sample(equal.slice(), drawing(params, (i + 0.5) / 64)),
      );
      return [...new Set(draws)].sort((a, b) => a - b);
    };
    assert.deepEqual(seen(warm({ topK: 3 })), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert.deepEqual(seen(warm({ topP: 0.3 })), [0, 1, 2]);
    assert.deepEqual(seen(warm({ minP: 1 })), [0, 1, 2, 3, 4, 5, 6, 7]);
    const random = Random.seeded(5);
    for (let round = 0; round < 20; round++) {
      // Powers of two as weights add up without rounding, so that both sides cut at the same tie.
      const tied = randomLogits(random, 64, 2, 1).map((logit) => logit * Math.LN2);
      assertDistribution(tied, warm({ topK: 9 }));
      assertDistribution(tied, warm({ topP: 0.7001 }));
    }
  });

  it("chooses from the likeliest tokens what it chooses from all of them", () => {
    const sampler = new Sampler(500);
    const part = fc.double({ min: 0.01, max: 1, noNaN: true });
    const params = fc.record({
      ...{ topK: fc.integer({ min: 1, max: 63 }), temperature: fc.constantFrom(0, 0.2, 1, 3) },
      ...{ topP: part, minP: part, typicalP: part },
    });
    let chosen = 0;
    fc.assert(
      fc.property(params, fc.double({ min: 0, max: 0.999, noNaN: true }), fc.nat(), (cut, uniform, seed) => {
        // Rounded, so that some are equal.
        const logits = randomLogits(Random.seeded(seed), 500, 3, 1 / 64);
        const state = drawing(warm(cut), uniform);
        assert.ok(isContentWithTop(state));
        const token = sampler.sampleTop(topOf(logits), state);
        if (token === undefined) return;
        chosen++;
        assert.equal(token, sampler.sample(logits, state));
      }),
    );
    assert.ok(chosen > 50, `only ${chosen} were chosen from the likeliest`);
  });

  it("asks for all logits where the likeliest do not tell, or not as the model gave them", () => {
    const sampler = new Sampler(200);
    const level = topOf(new Float32Array(200));
    assert.equal(sampler.sampleTop(level, drawing(warm({ topK: 5 }), 0.5)), undefined);
    assert.equal(sampler.sampleTop(level, drawing(GREEDY, 0)), undefined);
    const content = (params: Partial<SamplingParams>, state: Partial<SamplingState> = {}): boolean =>
      isContentWithTop({ ...drawing(warm(params), 0), ...state });
    assert.ok(content({ temperature: 0 }) && content({ topK: 63 }));
    assert.ok(!content({}) && !content({ topK: 64 }) && !content({ temperature: 0, logitBias: [[1, 2]] }));
    assert.ok(!content({ topK: 5 }, { suppressed: [3] }));
    assert.ok(!content({ topK: 5 }, { constraint: { mask: () => {} } }));
    assert.ok(!content({ topK: 5 }, { counts: TokenCounts.for(warm({ presencePenalty: 1 }), Int32Array.of(1)) }));
    for (const broken of [Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]) {
      const top = { ids: Int32Array.of(7), logits: Float32Array.of(broken) };
      assert.throws(() => sampler.sampleTop(top, drawing(GREEDY, 0)), { code: "inference_failed" });
    }
  });

  it("takes the lowest of the likeliest, in whatever order equals come", () => {
    const sampler = new Sampler(200);
    const top = { ids: Int32Array.of(77, 9, 150, 3), logits: Float32Array.of(2, 2, 2, 1) };
    assert.equal(sampler.sampleTop(top, drawing(GREEDY, 0)), 9);
    const all = { ids: Int32Array.of(2, 0, 1), logits: Float32Array.of(1, 1, 1) };
    assert.equal(new Sampler(3).sampleTop(all, drawing(GREEDY, 0)), 0);
  });

  it("follows the distribution over a sequence's own draws", () => {
    const logits = randomLogits(Random.seeded(3), 12, 1);
    const params = warm({ topP: 0.95 });
    const sampler = new Sampler(12);
    const state: SamplingState = { params, random: Random.seeded(99), counts: undefined, suppressed: undefined };
    const seen = new Array<number>(12).fill(0);
    const draws = 20_000;
    for (let i = 0; i < draws; i++) {
      const id = sampler.sample(logits.slice(), state);
      seen[id] = (seen[id] ?? 0) + 1;
    }
    const expected = distribution(logits, params);
    const chiSquare = expected.reduce(
      (sum, { id, probability }) => sum + ((seen[id] ?? 0) - draws * probability) ** 2 / (draws * probability),
      0,
    );
    assert.equal(
      expected.reduce((sum, { id }) => sum + (seen[id] ?? 0), 0),
      draws,
      "an id outside the support",
    );
    // At most 11 degrees of freedom: 31.3 is passed once in a thousand; the seed is fixed.
    assert.ok(chiSquare < 31.3, `chi-square ${chiSquare}`);
  });

  it("takes the likeliest token at temperature 0, of equals the lowest id, without a draw", () => {
    const greedy: SamplingState = { params: GREEDY, random: forbidden, counts: undefined, suppressed: undefined };
    assert.equal(new Sampler(5).sample(Float32Array.of(1, 4, 2, 4, 0), greedy), 1);
    assert.equal(new Sampler(3).sample(Float32Array.of(-Infinity, -3, -3), greedy), 1);
  });

  it("takes one random number a token, whatever the cuts", () => {
    for (const cut of cuts) {
      let drawn = 0;
      const random: SamplingState["random"] = {
        nextFloat: () => {
          drawn++;
          return 0.5;
        },
      };
      new Sampler(50).sample(randomLogits(Random.seeded(1), 50, 2), {
        params: warm(cut),
        random,
        counts: undefined,
        suppressed: undefined,
      });
      assert.equal(drawn, 1);
    }
  });

  it("applies the penalties exactly as defined", () => {
    const random = Random.seeded(21);
    const prompt = [3, 5, 5, 8];
    const output = [5, 9, 9, 9, 2];
    const cases: Partial<SamplingParams>[] = [
      { repetitionPenalty: 1.3 },
      { repetitionPenalty: 0.8 },
      { presencePenalty: 0.6 },
      { frequencyPenalty: -0.4 },
      { repetitionPenalty: 1.1, presencePenalty: -1, frequencyPenalty: 0.25 },
    ];
    for (const penalties of cases) {
      const params = { ...GREEDY, ...penalties };
      const logits = randomLogits(random, 16, 2);
      const expected = penalized(logits, prompt, output, params);
      const counts = TokenCounts.for(params, Int32Array.from(prompt));
      for (const token of output) counts?.add(token);
      new Sampler(16).sample(logits, { params, random: forbidden, counts, suppressed: undefined });
      const worst = Math.max(...logits.map((logit, id) => Math.abs(logit - (expected[id] ?? Number.NaN))));
      assert.ok(worst < 1e-6, `${JSON.stringify(penalties)}: off by ${worst}`);
    }
  });

  it("leaves out the likeliest token where it is not typical", () => {
    // Probabilities 0.4 and six of 0.1: the entropy lies nearer to the small ones.
    const logits = Float32Array.of(Math.log(4), 0, 0, 0, 0, 0, 0);
    const seen = new Set(
      Array.from({ length: 50 }, (_, i) =>
        new Sampler(7).sample(logits.slice(), drawing(warm({ typicalP: 0.5 }), (i + 0.5) / 50)),
      ),
    );
    assert.deepEqual([...seen], [1, 2, 3, 4, 5, 6], "all that are equally near, and not token 0");
  });

  it("adds biases before anything else, and rules out what would end the sequence too early", () => {
    const greedy = (params: Partial<SamplingParams>, suppressed?: readonly number[]) =>
      new Sampler(4).sample(Float32Array.of(1, 4, 3, 2), {
        params: { ...GREEDY, ...params },
        random: forbidden,
        counts: undefined,
        suppressed,
      });
    assert.equal(greedy({ logitBias: [[3, 2.5]] }), 3);
    assert.equal(greedy({ logitBias: [[1, -100]] }), 2);
    assert.equal(greedy({ logitBias: [[99, 100]] }), 1, "an id that the logits have no place for changes nothing");
    assert.equal(greedy({}, [1, 2]), 3);
    assert.equal(greedy({ logitBias: [[1, 100]] }, [1]), 2, "no bias brings a suppressed token back");
    assert.equal(greedy({}, [1, 99]), 2);
  });

  it("lets a grammar end the sequence before min_tokens", () => {
    const constraint = { mask: (logits: Float32Array): void => void logits.fill(-Infinity, 0, 3) };
    const state = { params: GREEDY, random: forbidden, counts: undefined, suppressed: [3], constraint };
    assert.equal(new Sampler(4).sample(Float32Array.of(1, 4, 3, 2), state), 3);
  });

  it("biases before it penalizes", () => {
    const params = { ...GREEDY, repetitionPenalty: 2, logitBias: [[0, 3]] as const };
    const logits = Float32Array.of(1, 0);
    new Sampler(2).sample(logits, {
      params,
      random: forbidden,
      counts: TokenCounts.for(params, Int32Array.of(0)),
      suppressed: undefined,
    });
    assert.deepEqual([...logits], [2, 0]);
  });

  it("reports the model's own log probabilities, whatever decided", () => {
    const raw = randomLogits(Random.seeded(8), 40, 2);
    const params = warm({ temperature: 0.5, topK: 3, repetitionPenalty: 3, logitBias: [[7, 100]] });
    const counts = TokenCounts.for(params, Int32Array.of(1, 2, 7));
    const chosen = new Sampler(40).sampleWithLogprobs(raw.slice(), { ...drawing(params, 0.3), counts }, 2);
    assert.equal(chosen.token, 7);
    assert.ok(Math.abs(chosen.logprob - (logSoftmax(raw)[7] ?? 0)) < 1e-9);
    assert.equal(chosen.top.length, 2);
  });

  it("penalizes nothing, and counts nothing, without a penalty", () => {
    assert.equal(TokenCounts.for(GREEDY, Int32Array.of(1)), undefined);
  });

  it("ignores prompt ids beyond the output vocabulary", () => {
    const params = { ...GREEDY, repetitionPenalty: 2 };
    const counts = TokenCounts.for(params, Int32Array.of(1, 99));
    assert.equal(
      new Sampler(3).sample(Float32Array.of(1, 1.5, 0), { params, random: forbidden, counts, suppressed: undefined }),
      0,
    );
  });

  it("keeps very low temperatures and banned tokens finite", () => {
    const logits = Float32Array.of(-Infinity, 20, 19, -Infinity);
    assert.equal(new Sampler(4).sample(logits.slice(), drawing(warm({ temperature: 1e-9 }), 0.999)), 1);
    for (const uniform of [0, 0.2, 0.9999999]) {
      const id = new Sampler(4).sample(logits.slice(), drawing(warm({ topP: 0.9999 }), uniform));
      assert.ok(id === 1 || id === 2);
    }
  });

  it("refuses logits that leave no choice, with an error that says why", () => {
    const sample = (...logits: number[]) => new Sampler(3).sample(Float32Array.from(logits), drawing(warm({}), 0.5));
    const failsWith = (message: RegExp) => (thrown: unknown) =>
      thrown instanceof VitrineError && thrown.code === "inference_failed" && message.test(thrown.message);
    assert.throws(() => sample(1, Number.NaN, 2), failsWith(/NaN/));
    assert.throws(() => sample(Number.NaN, 1, 2), failsWith(/NaN/));
    assert.throws(() => sample(-Infinity, -Infinity, -Infinity), failsWith(/all minus infinity/));
    assert.throws(() => sample(1, Infinity, 2), failsWith(/contain infinity/));
    assert.throws(() => sample(1, 2), failsWith(/2 logits for a vocabulary of 3/));
  });
});
