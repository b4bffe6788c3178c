import assert from "node:assert/strict";
import { WallAnchor, wallMicros } from "../../../src/tracing/clock.js";

describe("clock", () => {
  it("anchors monotonic times to the wall clock in whole microseconds", () => {
    const anchor = new WallAnchor({ wall: () => 1.7e15 + 0.25, monotonic: () => 5_000_000 });
    assert.deepEqual(anchor.hrTime(5_000_000), [1_700_000_000, 0]);
    assert.deepEqual(anchor.hrTime(6_234_567.4), [1_700_000_001, 234_568_000]);
    assert.deepEqual(anchor.hrTime(4_999_999), [1_699_999_999, 999_999_000]);
  });

  it("reads the wall clock once, so one trace's spans agree", () => {
    let wall = 1e15;
    const anchor = new WallAnchor({ wall: () => wall, monotonic: () => 0 });
    wall += 3.6e9;
    assert.deepEqual(anchor.hrTime(0), [1e9, 0]);
  });

  it("gives wall time near Date.now", () => {
    const before = Date.now() * 1e3;
    const now = wallMicros();
    assert.ok(now >= before - 2_000 && now <= Date.now() * 1e3 + 3_000);
  });
});
