import assert from "node:assert/strict";
import { promptLookup } from "../../../../src/engine/scheduling/prompt-lookup.js";
import { Speculation } from "../../../../src/engine/scheduling/speculation.js";

const ids = (...tokens: number[]): Int32Array => Int32Array.from(tokens);
const guesses = (tokens: Int32Array, most = 4): number[] => [...promptLookup(tokens, most)];

describe("promptLookup", () => {
  it("guesses what followed the last few tokens before", () => {
    assert.deepEqual(guesses(ids(1, 2, 3, 4, 5, 6, 7, 1, 2)), [3, 4, 5, 6]);
    assert.deepEqual(guesses(ids(1, 2, 3, 4, 5, 6, 7, 1, 2), 2), [3, 4]);
  });

  it("prefers longer matches to later ones, and of those as long the latest", () => {
    assert.deepEqual(guesses(ids(9, 1, 2, 5, 8, 1, 2, 6, 9, 1, 2), 1), [5]);
    assert.deepEqual(guesses(ids(1, 2, 5, 1, 2, 6, 1, 2), 1), [6]);
  });

  it("may guess into what it matched: a text that repeats itself goes on", () => {
    assert.deepEqual(guesses(ids(7, 7, 7, 7)), [7]);
    assert.deepEqual(guesses(ids(1, 2, 1, 2)), [1, 2]);
  });

  it("guesses nothing from one token, nothing new, and nothing when it may not", () => {
    assert.deepEqual(guesses(ids(1, 5, 1)), []);
    assert.deepEqual(guesses(ids(1, 2, 3, 4)), []);
    assert.deepEqual(guesses(ids()), []);
    assert.deepEqual(guesses(ids(1, 2, 1, 2), 0), []);
    assert.deepEqual(guesses(ids(1, 2, 1, 2), -1), []);
  });
});

describe("Speculation", () => {
  const TEXT = ids(1, 2, 3, 4, 5, 6, 1, 2);
  const plain = (speculation: Speculation, steps: number): void => {
    for (let i = 0; i < steps; i++) speculation.observe(0, 1, 10);
  };
  const guessing = (speculation: Speculation): boolean => speculation.propose(TEXT, 8).length > 0;

  it("waits until it knows what a plain step takes", () => {
    const speculation = new Speculation();
    plain(speculation, 3);
    assert.ok(!guessing(speculation));
    plain(speculation, 1);
    assert.deepEqual([...speculation.propose(TEXT, 8)], [3, 4, 5, 6]);
    assert.equal(speculation.propose(TEXT, 3).length, 3);
  });

  it("goes on while steps with guesses give tokens faster", () => {
    const speculation = new Speculation();
    plain(speculation, 4);
    for (let i = 0; i < 100; i++) speculation.observe(4, 2, 18);
    assert.ok(guessing(speculation));
  });

  it("pauses when they do not, longer each time, and takes that back once they do", () => {
    const speculation = new Speculation();
    const fail = () => {
      for (let i = 0; i < 8; i++) speculation.observe(4, 1, 18);
    };
    plain(speculation, 4);
    const pauses: number[] = [];
    for (let round = 0; round < 9; round++) {
      fail();
      let pause = 0;
      for (; !guessing(speculation); pause++) plain(speculation, 1);
      pauses.push(pause);
      if (round === 7) for (let i = 0; i < 8; i++) speculation.observe(4, 5, 18);
    }
    assert.deepEqual(pauses, [64, 128, 256, 512, 1024, 2048, 4096, 4096, 64]);
  });
});
