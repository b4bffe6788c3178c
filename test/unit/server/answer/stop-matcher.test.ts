import assert from "node:assert/strict";
import { StopMatcher } from "../../../../src/server/answer/stop-matcher.js";

/** Reads unit by unit, and looks at every stop string each time. */
function naive(text: string, stops: readonly string[]): { readonly output: string; readonly matched: boolean } {
  for (let end = 1; end <= text.length; end++) {
    const read = text.slice(0, end);
    const found = stops.filter((stop) => read.endsWith(stop)).sort((a, b) => b.length - a.length)[0];
    if (found !== undefined) return { output: read.slice(0, -found.length), matched: true };
  }
  return { output: text, matched: false };
}

/** mulberry32: small seeded random source. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function run(pieces: readonly string[], stops: readonly string[]) {
  const matcher = new StopMatcher(stops);
  const sent = pieces.map((piece) => matcher.push(piece));
  return { sent, output: sent.join("") + matcher.flush(), matched: matcher.matched };
}

describe("stop matcher", () => {
  it("agrees with a naive search, however the text is cut", () => {
    let matches = 0;
    for (let seed = 0; seed < 3000; seed++) {
      const next = random(seed);
      const word = (length: number): string =>
        Array.from({ length }, () => "abc"[Math.floor(next() * (seed % 2 === 0 ? 2 : 3))]).join("");
      const stops = Array.from({ length: 1 + Math.floor(next() * 4) }, () => word(1 + Math.floor(next() * 6)));
      const text = word(Math.floor(next() * 30));
      const pieces: string[] = [];
      for (let at = 0; at < text.length; ) {
        const length = Math.floor(next() * 5);
        pieces.push(text.slice(at, at + length));
        at += length;
      }
      const { output, matched } = run(pieces, stops);
      assert.deepEqual({ output, matched }, naive(text, stops), `seed ${seed}`);
      if (matched) matches++;
    }
    assert.ok(matches > 500 && matches < 2900, `both cases are well covered: ${matches}`);
  });

  it("never sends text that could become a stop string, and no more is held back than that", () => {
    assert.deepEqual(run(["one E", "N", "CORE ", "E"], ["END"]).sent, ["one ", "", "ENCORE ", ""]);
  });

  it("gives back what it held when no text follows", () => {
    assert.equal(run(["maybe EN"], ["END"]).output, "maybe EN");
  });

  it("passes everything at once without stop strings", () => {
    assert.deepEqual(run(["a", "b"], []).sent, ["a", "b"]);
  });

  it("drops what follows a match", () => {
    const matcher = new StopMatcher(["X"]);
    assert.equal(matcher.push("aXb"), "a");
    assert.equal(matcher.matched, true);
    assert.equal(matcher.push("cX"), "");
    assert.equal(matcher.flush(), "");
  });

  it("takes a hostile stop string in linear time", () => {
    const matcher = new StopMatcher([`${"a".repeat(200_000)}b`]);
    let length = 0;
    for (let i = 0; i < 400; i++) length += matcher.push("a".repeat(500)).length;
    assert.equal(length + matcher.flush().length, 200_000);
  });

  it("keeps the stop string found where that is asked for", () => {
    const matcher = new StopMatcher(["END"], true);
    assert.deepEqual(
      ["a E", "ND b", "c"].map((piece) => matcher.push(piece)),
      ["a ", "END", ""],
    );
    assert.equal(matcher.matched, true);
  });
});
