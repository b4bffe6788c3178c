import assert from "node:assert/strict";
import { SlotCache } from "../../../../src/runtime/native/slot-cache.js";
import { type CachePlace, devicePlace, hostPlace } from "../../../support/cache-places.js";
import { compiler } from "../../../support/compile-library.js";
import { requirePart } from "../../../support/requirements.js";

const ENTRIES = [
  { heads: 2, headDim: 3 },
  { heads: 1, headDim: 4 },
];

const places = [
  ["in host memory", hostPlace],
  ["in a device's memory", devicePlace],
] as const;
for (const [name, openPlace] of places) {
  describe(`slot cache ${name}`, () => {
    let place: CachePlace;
    let cache: SlotCache;
    beforeEach(function () {
      if (openPlace === devicePlace) requirePart(this, compiler());
      place = openPlace();
      cache = new SlotCache({ ...place, entries: ENTRIES });
    });
    afterEach(() => {
      cache?.dispose();
      place?.close();
    });

    /** Every element of a slot has a value that says which it is, so that a wrong copy shows. */
    const value = (slot: number, entry: number, head: number, index: number): number =>
      slot * 10_000 + entry * 4000 + head * 2000 + index;

    const startOf = (slot: number, entry: number, head: number): number => {
      const { heads, headDim } = ENTRIES[entry] as (typeof ENTRIES)[number];
      return ((cache.rowOf(slot) as number) * heads + head) * cache.tokens * headDim;
    };

    function forEachHead(visit: (entry: number, head: number, headDim: number) => void): void {
      for (const [entry, { heads, headDim }] of ENTRIES.entries()) {
        for (let head = 0; head < heads; head++) visit(entry, head, headDim);
      }
    }

    function admit(slot: number, length: number): void {
      cache.admit(slot);
      cache.reserve(Math.max(cache.span, cache.rows), Math.max(length, cache.tokens));
      cache.setLength(slot, length);
      forEachHead((entry, head, headDim) => {
        const values = Array.from({ length: length * headDim }, (_, index) => value(slot, entry, head, index));
        place.write(cache.tensors[entry] as never, startOf(slot, entry, head), values);
      });
    }

    /** What slot `of` was given is in slot `slot`. */
    function assertHolds(slot: number, length: number, of = slot): void {
      assert.equal(cache.lengthOf(slot), length);
      forEachHead((entry, head, headDim) => {
        const read = place.read(cache.tensors[entry] as never, startOf(slot, entry, head), length * headDim);
        const given = Array.from({ length: length * headDim }, (_, index) => value(of, entry, head, index));
        assert.deepEqual(read, given);
      });
    }

    it("takes the shape it is told, larger or smaller, and keeps what it holds", () => {
      for (const slot of [5, 2, 0]) admit(slot, 7 + slot);
      cache.reserve(8, 256);
      const [before] = cache.tensors;
      cache.reserve(8, 256);
      assert.equal(cache.tensors[0], before, "the same shape is the same memory");
      cache.release(2);
      cache.reserve(2, 300);
      assert.deepEqual([cache.rows, cache.tokens, cache.span], [2, 300, 2]);
      assertHolds(5, 12);
      assertHolds(0, 7);
    });

    it("forgets what does not fit into fewer tokens", () => {
      for (const slot of [0, 1]) admit(slot, 20);
      cache.reserve(2, 12);
      for (const slot of [0, 1]) assertHolds(slot, 12);
    });

    it("moves sequences into the first rows and others out of them", () => {
      for (const slot of [0, 1, 2, 3, 4, 5]) admit(slot, 10 + slot);
      cache.release(1);
      cache.arrange([5, 2, 4]);
      assert.deepEqual(new Set([5, 2, 4].map((slot) => cache.rowOf(slot))), new Set([0, 1, 2]));
      assert.equal(cache.rowOf(2), 2, "what is in place stays");
      for (const slot of [0, 2, 3, 4, 5]) assertHolds(slot, 10 + slot);
      cache.reserve(cache.rows, 1000);
      for (const slot of [0, 2, 3, 4, 5]) assertHolds(slot, 10 + slot);
    });

    it("starts a sequence as another's first tokens", () => {
      admit(3, 12);
      cache.reserve(2, 64);
      cache.copy(3, 1, 5);
      assertHolds(3, 12);
      assertHolds(1, 5, 3);
    });

    it("gives a new sequence the lowest free row, and its slot's old length to nobody", () => {
      for (const slot of [0, 1, 2]) admit(slot, 5);
      cache.release(1);
      cache.release(1);
      assert.equal(cache.rowOf(1), undefined);
      assert.equal(cache.lengthOf(1), 0);
      cache.admit(4);
      assert.equal(cache.rowOf(4), 1);
      assert.equal(cache.lengthOf(4), 0);
      cache.admit(4);
      assert.equal(cache.rowOf(4), 1);
      assertHolds(2, 5);
    });

    it("closes gaps of sequences that were admitted and released before there was any memory", () => {
      for (const slot of [0, 1]) cache.admit(slot);
      cache.release(0);
      cache.reserve(1, 8);
      assert.equal(cache.rowOf(1), 0);
    });

    it("is as it was when memory for more is refused", () => {
      admit(0, 9);
      assert.throws(() => cache.reserve(1, 2 ** 43), { code: "out_of_memory" });
      assert.deepEqual([cache.rows, cache.tokens], [1, 9]);
      assertHolds(0, 9);
    });

    // Once, twice, for good: what is undone may find memory or not.
    for (const times of [1, 2, 1000]) {
      it(`is as it was whichever allocation fails${times > 1 ? `, and ${times - 1} after it` : ""}`, () => {
        for (const slot of [0, 1, 2]) admit(slot, 5 + slot);
        cache.reserve(3, 12);
        // The room for a row on its way, where it has to grow, and two tensors.
        const shapes = [
          [3, 20, [1, 2, 3]],
          [4, 13, [1, 2, 3]],
          [6, 9, [2, 3]],
          [9, 30, [1, 2, 3]],
        ] as const;
        for (const [rows, tokens, allocations] of shapes) {
          for (const n of allocations) {
            place.failAllocation(n, times);
            assert.throws(() => cache.reserve(rows, tokens), { code: "out_of_memory" });
            assert.deepEqual([cache.rows, cache.tokens], [3, 12]);
            place.failAllocation(0, 0);
            for (const slot of [0, 1, 2]) assertHolds(slot, 5 + slot);
          }
        }
        cache.reserve(4, 9);
        for (const slot of [0, 1, 2]) assertHolds(slot, 5 + slot);
      });

      it(`shrinks whichever allocation fails${times > 1 ? `, and ${times - 1} after it` : ""}`, () => {
        const shapes = [
          [3, 20],
          [3, 7],
          [5, 10],
          [3, 12],
        ] as const;
        for (const [rows, tokens] of shapes) {
          for (const n of [1, 2, 3]) {
            for (const slot of [0, 1, 2]) admit(slot, 5 + slot);
            cache.reserve(6, 20);
            place.failAllocation(n, times);
            cache.reserve(rows, tokens);
            place.failAllocation(0, 0);
            assert.deepEqual([cache.rows, cache.tokens], [rows, tokens]);
            for (const slot of [0, 1, 2]) assertHolds(slot, 5 + slot);
            cache.arrange([2]);
            cache.reserve(4, 30);
            for (const slot of [0, 1, 2]) assertHolds(slot, 5 + slot);
          }
        }
      });
    }
  });
}

describe("slot cache", () => {
  it("forgets free rows at the end, so that nothing is moved for them", () => {
    const place = hostPlace();
    const cache = new SlotCache({ ...place, copy: () => assert.fail("copied"), entries: ENTRIES });
    cache.admit(0);
    cache.reserve(1, 5);
    cache.setLength(0, 5);
    cache.release(0);
    assert.equal(cache.span, 0);
    cache.arrange([]);
    assert.equal(cache.span, 0);
    cache.dispose();
    place.close();
  });
});
