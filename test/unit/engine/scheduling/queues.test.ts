import assert from "node:assert/strict";
import { commonPrefix } from "../../../../src/engine/cache/prefix.js";
import { RequestQueue } from "../../../../src/engine/scheduling/request-queue.js";
import { RunningSet } from "../../../../src/engine/scheduling/running-set.js";
import { Sequence } from "../../../../src/engine/scheduling/sequence.js";
import { TokenList } from "../../../../src/engine/scheduling/token-list.js";
import { engineRequest } from "../../../support/engine-requests.js";

const item = (name: string, priority = 0) => ({ name, request: { priority } });
const sequence = (id: string, arrival: number, priority = 0): Sequence =>
  new Sequence(engineRequest({ id, priority }), arrival, 0);

describe("RequestQueue", () => {
  it("serves higher priorities first, within one the first to come, and before it who was put back", () => {
    const queue = new RequestQueue<ReturnType<typeof item>>();
    const [low, first, second, high] = [item("low", -3), item("first"), item("second"), item("high", 7)];
    for (const one of [low, first, second, high]) queue.push(one);
    const back = item("back");
    queue.putBack(back);
    assert.deepEqual([...queue], [high, back, first, second, low]);
    for (const expected of [high, back, first, second, low]) {
      assert.equal(queue.first, expected);
      assert.ok(queue.delete(expected));
    }
    assert.deepEqual([queue.first, queue.size], [undefined, 0]);
  });

  it("lets anybody leave, once", () => {
    const queue = new RequestQueue<ReturnType<typeof item>>();
    const [a, b, c] = [item("a"), item("b"), item("c")];
    for (const one of [a, b, c]) queue.push(one);
    assert.deepEqual([queue.delete(b), queue.delete(b), queue.size], [true, false, 2]);
    assert.deepEqual([...queue], [a, c]);
  });

  it("takes priorities beyond its range for the nearest within", () => {
    const queue = new RequestQueue<ReturnType<typeof item>>();
    const [most, ten, least] = [item("most", 1e9), item("ten", 10), item("least", -1e9)];
    for (const one of [least, ten, most]) queue.push(one);
    assert.deepEqual([...queue], [ten, most, least]);
  });
});

describe("RunningSet", () => {
  it("moves who is done with the prompt to those that decode, and counts both loads", () => {
    const running = new RunningSet();
    const [a, b] = [sequence("a", 0), sequence("b", 1)];
    for (const one of [a, b]) running.add(one);
    running.promote(a);
    assert.deepEqual([running.prefilling, running.decoding], [[b], [a]]);
    assert.deepEqual(running.load, { rows: 1, context: 3 });
    assert.deepEqual(running.comingLoad, { rows: 2, context: 6 });
    running.delete(a);
    assert.deepEqual([running.size, running.load], [1, { rows: 0, context: 0 }]);
  });

  it("lets the lowest priority make way first, and of that the last to have arrived", () => {
    const running = new RunningSet();
    assert.equal(running.youngest(), undefined);
    const [old, low, young] = [sequence("old", 0), sequence("low", 1, -1), sequence("young", 2)];
    for (const one of [young, low, old]) running.add(one);
    running.promote(young);
    for (const expected of [low, young, old]) {
      assert.equal(running.youngest(), expected);
      running.delete(expected);
    }
  });
});

describe("TokenList", () => {
  it("grows without touching the array it began with", () => {
    const prompt = Int32Array.of(1, 2);
    const tokens = new TokenList(prompt);
    for (let id = 3; id <= 100; id++) tokens.push(id);
    assert.deepEqual(
      [...tokens.view()],
      Array.from({ length: 100 }, (_, i) => i + 1),
    );
    assert.deepEqual([tokens.length, tokens.at(99), [...tokens.view(1, 3)]], [100, 100, [2, 3]]);
    assert.deepEqual([...prompt], [1, 2]);
  });
});

describe("commonPrefix", () => {
  it("counts equal tokens from the start", () => {
    for (const [a, b, length] of [
      [[], [1], 0],
      [[1, 2, 3], [1, 2, 4], 2],
      [[1, 2], [1, 2, 3], 2],
      [[2, 1], [1, 2], 0],
    ] as const) {
      assert.equal(commonPrefix(Int32Array.from(a), Int32Array.from(b)), length);
    }
  });
});
