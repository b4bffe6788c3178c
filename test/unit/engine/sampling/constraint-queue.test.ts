import assert from "node:assert/strict";
import type { TokenConstraint } from "../../../../src/engine/sampling/constraint.js";
import { type Compiled, ConstraintQueue } from "../../../../src/engine/sampling/constraint-queue.js";
import { VitrineError } from "../../../../src/errors.js";
import { engineRequest } from "../../../support/engine-requests.js";

const CONSTRAINT: TokenConstraint = { mask: () => {}, accept: () => {}, complete: false };
const GRAMMAR = { kind: "json_object" } as const;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function makeQueue(compile: () => Promise<TokenConstraint>) {
  const done: Compiled[] = [];
  const queue = new ConstraintQueue(
    { compile },
    () => 7,
    (compiled) => done.push(compiled),
  );
  return { queue, done };
}

describe("ConstraintQueue", () => {
  it("hands on what a grammar became, and when", async () => {
    const { queue, done } = makeQueue(async () => CONSTRAINT);
    const request = engineRequest({ id: "a", grammar: GRAMMAR });
    queue.add(request, GRAMMAR);
    await turn();
    assert.deepEqual(done, [{ request, result: CONSTRAINT, at: 7 }]);
    assert.equal(queue.delete("a"), false);
  });

  it("hands on why there is none", async () => {
    const { queue, done } = makeQueue(async () => {
      throw new VitrineError("invalid_request", "no such keyword");
    });
    queue.add(engineRequest({ id: "a" }), GRAMMAR);
    await turn();
    assert.ok(done[0]?.result instanceof VitrineError && done[0].result.code === "invalid_request");
  });

  it("says nothing more of a request that was taken out", async () => {
    const { queue, done } = makeQueue(async () => CONSTRAINT);
    for (const id of ["a", "b", "c"]) queue.add(engineRequest({ id }), GRAMMAR);
    assert.equal(queue.delete("a"), true);
    assert.deepEqual(queue.clear(), ["b", "c"]);
    await turn();
    assert.deepEqual(done, []);
  });
});
