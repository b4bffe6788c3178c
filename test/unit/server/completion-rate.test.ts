import assert from "node:assert/strict";
import { CompletionRate } from "../../../src/server/completion-rate.js";

const SECOND = 1e6;

describe("completion rate", () => {
  it("is the mean of the last ends, the time since the last one included", () => {
    const rate = new CompletionRate();
    for (let i = 0; i <= 10; i++) rate.ended(i * 2 * SECOND);
    assert.equal(rate.secondsUntil(1, 20 * SECOND, 0), 2);
    assert.equal(rate.secondsUntil(5, 20 * SECOND, 0), 10);
    assert.equal(rate.secondsUntil(1, 40 * SECOND, 0), 4);
  });

  it("looks at the last ones only", () => {
    const rate = new CompletionRate();
    for (let i = 0; i < 32; i++) rate.ended(i * 1.5 * SECOND);
    const now = 46.5 * SECOND;
    for (let i = 1; i <= 32; i++) rate.ended(now + i * 0.01 * SECOND);
    assert.equal(rate.secondsUntil(20, now + 0.32 * SECOND, 0), 1);
  });

  it("goes by the time work has taken where nothing ended, or nothing lately", () => {
    const rate = new CompletionRate();
    assert.equal(rate.secondsUntil(1, 7 * SECOND, 2 * SECOND), 5);
    rate.ended(8 * SECOND);
    assert.equal(rate.secondsUntil(1, 108 * SECOND, 100 * SECOND), 8);
  });

  it("is a second at least, and a minute at most", () => {
    const rate = new CompletionRate();
    assert.equal(rate.secondsUntil(1, 5 * SECOND, 5 * SECOND), 1);
    assert.equal(rate.secondsUntil(1000, 50 * SECOND, 0), 60);
  });
});
