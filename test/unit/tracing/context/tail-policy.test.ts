import assert from "node:assert/strict";
import { keepsAnyEnding, type RequestCourse, reasonToKeep } from "../../../../src/tracing/context/tail-policy.js";

const POLICY = { failed: true, slowTtftMs: 100, slowTotalMs: 1_000, longestMs: 60_000 };
const WELL: RequestCourse = { failed: false, cancelled: false, ttftMs: 100, totalMs: 1_000 };

describe("reasonToKeep", () => {
  it("finds none in a request that went well, at its limits", () => {
    assert.equal(reasonToKeep(POLICY, WELL), undefined);
  });

  it("names what went wrong, a failure first", () => {
    assert.equal(reasonToKeep(POLICY, { ...WELL, failed: true, ttftMs: 101 }), "error");
    assert.equal(reasonToKeep(POLICY, { ...WELL, failed: true, cancelled: true }), "cancelled");
    assert.equal(reasonToKeep(POLICY, { ...WELL, ttftMs: 101, totalMs: 1_001 }), "slow_ttft");
    assert.equal(reasonToKeep(POLICY, { ...WELL, totalMs: 1_001 }), "slow_total");
  });

  it("does not count a client's leaving, nor what was not asked for", () => {
    assert.equal(reasonToKeep(POLICY, { ...WELL, cancelled: true }), undefined);
    const none = { failed: false, longestMs: 60_000 };
    assert.equal(reasonToKeep(none, { failed: true, cancelled: false, ttftMs: 1e9, totalMs: 1e9 }), undefined);
    assert.deepEqual([keepsAnyEnding(none), keepsAnyEnding({ ...none, slowTtftMs: 1 })], [false, true]);
  });
});
