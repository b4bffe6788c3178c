/** Random traffic on a cache, held against a plain model of what a cache is. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { SlotCache } from "../../src/runtime/native/slot-cache.js";
import type { CachePlace } from "./cache-places.js";

const ENTRIES = [
  { heads: 2, headDim: 3 },
  { heads: 1, headDim: 4 },
];

interface Model {
  readonly slot: number;
  readonly tokens: number[];
}

/** One thing that happens to a cache; numbers are taken modulo what there is. */
const event = fc.oneof(
  fc.record({ kind: fc.constant("admit" as const), slot: fc.nat(5), length: fc.integer({ min: 1, max: 6 }) }),
  fc.record({ kind: fc.constant("append" as const), which: fc.nat(5), length: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ kind: fc.constant("rewind" as const), which: fc.nat(5), length: fc.nat(5) }),
  fc.record({ kind: fc.constant("release" as const), which: fc.nat(5) }),
  fc.record({ kind: fc.constant("copy" as const), which: fc.nat(5), to: fc.nat(5), length: fc.nat(9) }),
  fc.record({ kind: fc.constant("arrange" as const), mask: fc.nat(63) }),
  fc.record({
    kind: fc.constant("reserve" as const),
    rows: fc.nat(3),
    tokens: fc.nat(9),
    fail: fc.option(fc.record({ n: fc.integer({ min: 1, max: 3 }), times: fc.constantFrom(1, 2, 9) })),
  }),
);
type CacheEvent = typeof event extends fc.Arbitrary<infer E> ? E : never;

export const traffic = fc.array(event, { maxLength: 40 });

/** In a cache there, which it closes. */
export function playTraffic(place: CachePlace, events: readonly CacheEvent[]): void {
  const played = new Traffic(place);
  try {
    for (const happened of events) {
      played.play(happened);
      played.check();
    }
  } finally {
    played.close();
  }
}

/** Plays events on a cache and on a list of tokens a slot; each token's elements tell which it is. */
class Traffic {
  readonly #sequences: Model[] = [];
  readonly #cache: SlotCache;
  #nextToken = 1;

  constructor(readonly place: CachePlace) {
    this.#cache = new SlotCache({ ...place, entries: ENTRIES });
  }

  play(happened: CacheEvent): void {
    const at = "which" in happened ? this.#sequences[happened.which % Math.max(1, this.#sequences.length)] : undefined;
    if (happened.kind === "admit") this.#admit(happened.slot, happened.length);
    else if (happened.kind === "arrange") {
      this.#cache.arrange(this.#sequences.filter((_, index) => (happened.mask >> index) & 1).map(({ slot }) => slot));
    } else if (happened.kind === "reserve") this.#reserve(happened);
    else if (at === undefined) return;
    else if (happened.kind === "append") this.#append(at, happened.length);
    else if (happened.kind === "rewind") {
      at.tokens.length = Math.min(at.tokens.length, happened.length);
      this.#cache.setLength(at.slot, at.tokens.length);
    } else if (happened.kind === "release") {
      this.#cache.release(at.slot);
      this.#sequences.splice(this.#sequences.indexOf(at), 1);
    } else if (happened.kind === "copy") this.#copy(at, happened.to, happened.length);
  }

  check(): void {
    for (const { slot, tokens } of this.#sequences) {
      assert.equal(this.#cache.lengthOf(slot), tokens.length);
      this.#forEachHead(slot, (tensor, start, entry, head, headDim) => {
        const expected = tokens.flatMap((token) => elements(token, entry, head, headDim));
        assert.deepEqual(this.place.read(tensor, start, tokens.length * headDim), expected);
      });
    }
  }

  close(): void {
    this.#cache.dispose();
    this.place.close();
  }

  #admit(slot: number, length: number): void {
    if (this.#sequences.some((sequence) => sequence.slot === slot)) return;
    this.#cache.admit(slot);
    const sequence = { slot, tokens: [] };
    this.#sequences.push(sequence);
    this.#append(sequence, length);
  }

  #append(sequence: Model, count: number): void {
    const { slot, tokens } = sequence;
    this.#room(tokens.length + count);
    const fresh = Array.from({ length: count }, () => this.#nextToken++ % 600);
    this.#forEachHead(slot, (tensor, start, entry, head, headDim) => {
      const values = fresh.flatMap((token) => elements(token, entry, head, headDim));
      this.place.write(tensor, start + tokens.length * headDim, values);
    });
    tokens.push(...fresh);
    this.#cache.setLength(slot, tokens.length);
  }

  #copy({ tokens }: Model, to: number, length: number): void {
    if (this.#sequences.some(({ slot }) => slot === to)) return;
    this.#cache.admit(to);
    this.#room(1);
    const shared = Math.min(length, tokens.length);
    const from = this.#sequences.find((sequence) => sequence.tokens === tokens) as Model;
    this.#cache.copy(from.slot, to, shared);
    this.#sequences.push({ slot: to, tokens: tokens.slice(0, shared) });
  }

  /** For all rows, and this many tokens in one. */
  #room(tokens: number): void {
    const { rows, span, tokens: capacity } = this.#cache;
    this.#cache.reserve(Math.max(rows, span), Math.max(capacity, tokens));
  }

  #reserve({ rows, tokens, fail }: Extract<CacheEvent, { kind: "reserve" }>): void {
    const longest = Math.max(1, ...this.#sequences.map((sequence) => sequence.tokens.length));
    const before = [this.#cache.rows, this.#cache.tokens];
    const wanted = [Math.max(1, this.#sequences.length + rows), longest + tokens] as const;
    if (fail !== null) this.place.failAllocation(fail.n, fail.times);
    try {
      this.#cache.reserve(...wanted);
      assert.deepEqual([this.#cache.rows, this.#cache.tokens], wanted);
    } catch (error) {
      if ((error as { code?: string }).code !== "out_of_memory") throw error;
      assert.deepEqual([this.#cache.rows, this.#cache.tokens], before);
    } finally {
      this.place.failAllocation(0, 0);
    }
  }

  #forEachHead(
    slot: number,
    visit: (tensor: SlotCache["tensors"][number], start: number, entry: number, head: number, headDim: number) => void,
  ): void {
    for (const [entry, { heads, headDim }] of ENTRIES.entries()) {
      for (let head = 0; head < heads; head++) {
        const start = ((this.#cache.rowOf(slot) as number) * heads + head) * this.#cache.tokens * headDim;
        visit(this.#cache.tensors[entry] as SlotCache["tensors"][number], start, entry, head, headDim);
      }
    }
  }
}

const elements = (token: number, entry: number, head: number, headDim: number): number[] =>
  Array.from({ length: headDim }, (_, d) => token * 100 + entry * 40 + head * 10 + d);
