import assert from "node:assert/strict";
import fc from "fast-check";
import { Random } from "../../../../src/engine/sampling/random.js";
import { OnlineLeastSquares } from "../../../../src/engine/scheduling/online-least-squares.js";
import { StepCosts, type StepWork } from "../../../../src/engine/scheduling/step-costs.js";

const decode = (rows: number, context: number): StepWork => {
  return { phase: "decode", rows, tokens: rows, attended: rows * context };
};
const prefill = (tokens: number, past: number): StepWork => {
  return { phase: "prefill", rows: 1, tokens, attended: tokens * (past + tokens) };
};

/** Milliseconds of a machine whose steps cost exactly what the model can say. */
const truth = ({ tokens, attended }: StepWork): number => 2 + 0.3 * tokens + 1e-4 * attended;

describe("StepCosts", () => {
  it("say nothing before they have seen a few steps, and nothing of another phase", () => {
    const costs = new StepCosts();
    for (let i = 0; i < 3; i++) costs.observe(decode(1, 10), 5);
    assert.equal(costs.predict(decode(1, 10)), undefined);
    costs.observe(decode(1, 10), 5);
    assert.ok(Math.abs((costs.predict(decode(1, 10)) ?? 0) - 5) < 0.01);
    assert.equal(costs.predict(prefill(10, 0)), undefined);
  });

  it("learn what steps cost from noisy ones, a few of which were disturbed", () => {
    const random = Random.seeded(5);
    const costs = new StepCosts();
    const errors: number[] = [];
    for (let i = 0; i < 4000; i++) {
      const work =
        i % 2 === 0
          ? decode(1 + Math.floor(random.nextFloat() * 16), 1 + (i % 1500))
          : prefill(1 + Math.floor(random.nextFloat() * 256), Math.floor(random.nextFloat() * 1500));
      const expected = costs.predict(work);
      if (i >= 500) errors.push(Math.abs((expected ?? 0) / truth(work) - 1));
      const disturbed = random.nextFloat() < 0.01 ? 30 : 1;
      costs.observe(work, truth(work) * (0.9 + 0.2 * random.nextFloat()) * disturbed);
    }
    errors.sort((a, b) => a - b);
    assert.ok((errors[errors.length >> 1] as number) < 0.05, "half of the predictions are within 5 %");
    assert.ok((errors[Math.floor(errors.length * 0.95)] as number) < 0.25, "nearly all are within 25 %");
  });

  it("stay sane when a single kind of step was seen for hours", () => {
    const random = Random.seeded(6);
    const costs = new StepCosts();
    const observe = (work: StepWork) => costs.observe(work, truth(work) * (0.9 + 0.2 * random.nextFloat()));
    for (let i = 0; i < 20_000; i++) observe(decode(1, 100 + (i % 1500)));
    assert.ok(Math.abs((costs.predict(decode(1, 800)) ?? 0) / truth(decode(1, 800)) - 1) < 0.1);
    for (let i = 0; i < 200; i++) observe(decode(16, 100 + i));
    assert.ok(Math.abs((costs.predict(decode(16, 200)) ?? 0) / truth(decode(16, 200)) - 1) < 0.1);
  });

  it("count one step that took a thousand times as long as three at most", () => {
    const costs = new StepCosts();
    for (let i = 0; i < 50; i++) costs.observe(decode(4, 100), 10);
    costs.observe(decode(4, 100), 10_000);
    assert.ok((costs.predict(decode(4, 100)) ?? 0) < 11);
  });

  it("are finite and not negative whatever was seen", () => {
    const step = fc.tuple(
      fc.boolean(),
      fc.integer({ min: 1, max: 512 }),
      fc.nat(100_000),
      fc.double({ min: 0, max: 1e6 }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const costs = new StepCosts();
        for (const [isPrefill, size, context, ms] of steps) {
          const work = isPrefill ? prefill(size, context) : decode(size, context);
          costs.observe(work, Number.isNaN(ms) ? 0 : ms);
          const expected = costs.predict(work);
          if (expected !== undefined) assert.ok(Number.isFinite(expected) && expected > 0);
        }
      }),
    );
  });
});

describe("OnlineLeastSquares", () => {
  it("follows a change, as old observations fade", () => {
    const model = new OnlineLeastSquares(2);
    for (let i = 0; i < 500; i++) model.observe([1, (i % 10) / 10], 1 + (i % 10) / 10);
    for (let i = 0; i < 1500; i++) model.observe([1, (i % 10) / 10], 5 + (2 * (i % 10)) / 10);
    assert.ok(Math.abs(model.predict([1, 0.5]) - 6) < 0.05);
    assert.ok(Math.abs(model.predict([1, 2]) - 9) < 0.3);
  });

  it("gives no feature a negative weight, and one never seen none", () => {
    const model = new OnlineLeastSquares(3);
    for (let i = 0; i < 300; i++) model.observe([1, i % 4, 0], 10 - (i % 4));
    assert.ok(model.predict([0, 1, 0]) >= 0);
    assert.equal(model.predict([0, 0, 1]), 0);
  });
});
