import assert from "node:assert/strict";
import { RecentPrompts } from "../../../../src/engine/client/recent-prompts.js";

const of = (...tokens: number[]): Int32Array => Int32Array.from(tokens);

function remember(limits: { prompts?: number; tokens?: number } = {}) {
  return new RecentPrompts({ prompts: 8, tokens: 100, ...limits });
}

describe("RecentPrompts", () => {
  it("finds the longest common start of all, of the same salt only", () => {
    const recent = remember();
    recent.add(of(1, 2, 3, 4), "a");
    recent.add(of(1, 2, 9), "a");
    recent.add(of(1, 2, 3, 4, 5, 6), "b");
    assert.equal(recent.longestPrefix(of(1, 2, 3, 4, 5, 6), "a"), 4);
    assert.equal(recent.longestPrefix(of(1, 2, 3, 4, 5, 6), "b"), 6);
    assert.equal(recent.longestPrefix(of(1, 2, 3, 4, 5, 6), ""), 0);
    assert.equal(recent.longestPrefix(of(2, 3), "a"), 0);
  });

  it("forgets the oldest beyond its count", () => {
    const recent = remember({ prompts: 2 });
    for (const token of [1, 2, 3]) recent.add(of(token, token), "");
    assert.deepEqual(
      [1, 2, 3].map((token) => recent.longestPrefix(of(token, token), "")),
      [0, 2, 2],
    );
  });

  it("forgets the oldest beyond its tokens, and all of a prompt that is longer by itself", () => {
    const recent = remember({ tokens: 5 });
    recent.add(of(1, 1, 1), "");
    recent.add(of(2, 2), "");
    recent.add(of(3, 3), "");
    assert.equal(recent.longestPrefix(of(1), ""), 0);
    assert.equal(recent.longestPrefix(of(2), ""), 1);
    recent.add(of(4, 4, 4, 4, 4, 4), "");
    assert.deepEqual(
      [2, 3, 4].map((token) => recent.longestPrefix(of(token), "")),
      [0, 0, 0],
    );
    recent.add(of(5, 5, 5, 5, 5), "");
    assert.equal(recent.longestPrefix(of(5, 5, 5, 5, 5), ""), 5, "what was forgotten takes no room");
  });

  it("gives all turns of a chat one place", () => {
    const recent = remember({ prompts: 2 });
    recent.add(of(9, 9), "");
    recent.add(of(1), "");
    recent.add(of(1, 2), "");
    recent.add(of(1, 2, 3), "");
    assert.equal(recent.longestPrefix(of(9, 9), ""), 2);
    assert.equal(recent.longestPrefix(of(1, 2, 3), ""), 3);
  });

  it("clears", () => {
    const recent = remember();
    recent.add(of(1, 2), "");
    recent.clear();
    assert.equal(recent.longestPrefix(of(1, 2), ""), 0);
  });
});
