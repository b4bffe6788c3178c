import assert from "node:assert/strict";
import { StepCosts } from "../../../../src/engine/scheduling/step-costs.js";
import { StepPlanner } from "../../../../src/engine/scheduling/step-planner.js";

/** A decode step of 1 ms and 1 ms a row; a prompt's tokens at 0.1 ms each. */
function learned(): StepCosts {
  const costs = new StepCosts();
  for (let i = 0; i < 200; i++) {
    const rows = 1 + (i % 8);
    costs.observe({ phase: "decode", rows, tokens: rows, attended: 0 }, 1 + rows);
    const tokens = 16 << (i % 5);
    costs.observe({ phase: "prefill", rows: 1, tokens, attended: 0 }, 0.1 * tokens);
  }
  return costs;
}

const streams = (rows: number) => ({ rows, context: 0 });

describe("StepPlanner", () => {
  it("takes whole chunks and everybody without a target, or while nobody waits for a token", () => {
    const free = new StepPlanner({ prefillChunk: 256 }, learned());
    assert.equal(free.chunk(streams(8), 0), 256);
    assert.ok(free.admits(streams(100)));
    const held = new StepPlanner({ prefillChunk: 256, targetTpotMs: 1 }, learned());
    assert.equal(held.chunk(streams(0), 0), 256);
    assert.ok(held.admits(streams(0)));
  });

  it("cuts chunks so that one and a decode step hold the target", () => {
    const planner = new StepPlanner({ prefillChunk: 256, targetTpotMs: 12 }, learned());
    assert.equal(planner.chunk(streams(3), 0), 64);
    assert.equal(planner.chunk(streams(7), 0), 32);
  });

  it("goes on with the least chunk where no target can be held, and with the given one where that is smaller", () => {
    const costs = learned();
    assert.equal(new StepPlanner({ prefillChunk: 256, targetTpotMs: 1 }, costs).chunk(streams(8), 0), 16);
    assert.equal(new StepPlanner({ prefillChunk: 5, targetTpotMs: 1 }, costs).chunk(streams(8), 0), 5);
  });

  it("lets in as many streams as decode together within the target", () => {
    const planner = new StepPlanner({ prefillChunk: 256, targetTpotMs: 6.5 }, learned());
    assert.deepEqual(
      [1, 4, 5, 8].map((rows) => planner.admits(streams(rows))),
      [true, true, false, false],
    );
  });

  it("knows nothing at first, and then holds nobody back", () => {
    const planner = new StepPlanner({ prefillChunk: 256, targetTpotMs: 1 }, new StepCosts());
    assert.equal(planner.decodeMs(streams(4)), undefined);
    assert.equal(planner.chunk(streams(4), 0), 256);
    assert.ok(planner.admits(streams(4)));
  });
});
