import assert from "node:assert/strict";
import { encodeWithin } from "../../../../src/runtime/text/encode-within.js";

/** A token a word; keeps the lengths of what it was given. */
function wordTokenizer(leastTokens: (text: string) => number = () => 0) {
  const given: number[] = [];
  return {
    given,
    leastTokens,
    encode(text: string, { addSpecialTokens }: { readonly addSpecialTokens: boolean }): Int32Array {
      given.push(text.length);
      const words = text.split(" ").filter((word) => word !== "");
      return Int32Array.from([...(addSpecialTokens ? [0] : []), ...words.map((word) => word.length)]);
    },
  };
}

const special = { addSpecialTokens: true };

describe("encodeWithin", () => {
  it("gives the ids of a text that fits, special ones included", () => {
    const tokenizer = wordTokenizer();
    assert.deepEqual(encodeWithin(tokenizer, "one three", special, 10), Int32Array.of(0, 3, 5));
    assert.deepEqual(tokenizer.given, [9]);
  });

  it("leaves a text that is a little too long to whoever counts", () => {
    assert.equal(encodeWithin(wordTokenizer(), "a ".repeat(12), special, 10)?.length, 13);
  });

  it("does not encode at all what the bound says is too long", () => {
    const tokenizer = wordTokenizer(() => 11);
    assert.equal(encodeWithin(tokenizer, "a", special, 10), undefined);
    assert.deepEqual(tokenizer.given, []);
  });

  it("stops soon in a text that is far too long", () => {
    const tokenizer = wordTokenizer();
    assert.equal(encodeWithin(tokenizer, "word ".repeat(2_000_000), special, 10_000), undefined);
    const read = tokenizer.given.reduce((sum, length) => sum + length, 0);
    assert.ok(read < 200_000, `read ${read} of 10,000,000 characters`);
  });

  it("encodes a long text of few tokens whole", () => {
    const tokenizer = wordTokenizer();
    const text = `start ${"x".repeat(40_000)} ${" ".repeat(100_000)} end`;
    assert.deepEqual(encodeWithin(tokenizer, text, special, 100), Int32Array.of(0, 5, 40_000, 3));
    assert.equal(tokenizer.given.at(-1), text.length);
  });

  it("stops soon in a text without a space", () => {
    const letters = { leastTokens: () => 0, encode: (text: string) => new Int32Array(text.length) };
    assert.equal(encodeWithin(letters, "你".repeat(5_000_000), special, 1000), undefined);
  });
});
