import assert from "node:assert/strict";
import { type Outcome, settle } from "../../../src/instrumentation/settle.js";

describe("settle", () => {
  let outcomes: Outcome[];
  const ended = (outcome: Outcome) => void outcomes.push(outcome);
  beforeEach(() => {
    outcomes = [];
  });

  it("tells a value at once", () => {
    const value = {};
    assert.equal(
      settle(() => value, ended),
      value,
    );
    assert.deepEqual(outcomes, [{ kind: "returned", value }]);
  });

  it("throws what was thrown", () => {
    const error = new TypeError("no");
    const thrower = () => {
      throw error;
    };
    assert.throws(
      () => settle(thrower, ended),
      (thrown) => thrown === error,
    );
    assert.deepEqual(outcomes, [{ kind: "threw", error }]);
  });

  it("tells a promise's value when it is there", async () => {
    const promise = settle(() => Promise.resolve(3), ended);
    assert.ok(promise instanceof Promise);
    assert.deepEqual(outcomes, []);
    assert.equal(await promise, 3);
    assert.deepEqual(outcomes, [{ kind: "returned", value: 3 }]);
  });

  it("rejects with what it was rejected with", async () => {
    const error = { not: "an error" };
    await assert.rejects(settle(() => Promise.reject(error), ended) as Promise<unknown>, (thrown) => thrown === error);
    assert.deepEqual(outcomes, [{ kind: "threw", error }]);
  });
});
