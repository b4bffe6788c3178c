import assert from "node:assert/strict";
import { OrtCopier, OrtEnvironment, OrtMemory, type OrtTensor } from "../../../../native/ort.js";
import { copyInHostMemory } from "../../../../src/runtime/native/cache-memory.js";
import { SlotCache, type SlotCacheOptions } from "../../../../src/runtime/native/slot-cache.js";

const ENTRIES = [
  { past: "a", present: "a", heads: 2, headDim: 3 },
  { past: "b", present: "b", heads: 1, headDim: 4 },
];

type Floats = OrtTensor<"float32">;

describe("slot cache", () => {
  let memory: OrtMemory;
  let copier: OrtCopier<"float32">;
  before(async () => {
    const environment = OrtEnvironment.open();
    memory = OrtMemory.cpu(environment);
    copier = await OrtCopier.create(environment, "float32", {});
  });
  after(() => {
    copier.dispose();
    memory.dispose();
  });

  const opened: SlotCache[] = [];
  afterEach(() => {
    for (const cache of opened.splice(0)) cache.dispose();
  });

  function open(more: Partial<SlotCacheOptions> = {}): SlotCache {
    const cache = new SlotCache({ memory, copy: copyInHostMemory, type: "float32", entries: ENTRIES, ...more });
    opened.push(cache);
    return cache;
  }

  /** Every element of a slot has a value that says which it is, so that a wrong copy shows. */
  const value = (slot: number, entry: number, head: number, index: number): number =>
    slot * 1e6 + entry * 1e5 + head * 1e4 + index;

  function eachElement(
    cache: SlotCache,
    slot: number,
    visit: (data: Floats["data"], at: number, value: number) => void,
  ) {
    const row = cache.rowOf(slot) as number;
    for (const [entry, { heads, headDim }] of ENTRIES.entries()) {
      const { data } = cache.tensors[entry] as Floats;
      for (let head = 0; head < heads; head++) {
        const start = (row * heads + head) * cache.tokens * headDim;
        for (let i = 0; i < cache.lengthOf(slot) * headDim; i++) visit(data, start + i, value(slot, entry, head, i));
      }
    }
  }

  /** The first `length` tokens of each head of a slot. */
  function headsOf(cache: SlotCache, slot: number, entry: number, length: number): number[][] {
    const { heads, headDim } = ENTRIES[entry] as (typeof ENTRIES)[number];
    const { data } = cache.tensors[entry] as Floats;
    return Array.from({ length: heads }, (_, head) => {
      const start = ((cache.rowOf(slot) as number) * heads + head) * cache.tokens * headDim;
      return [...data.subarray(start, start + length * headDim)];
    });
  }

  function admit(cache: SlotCache, slot: number, length: number): void {
    cache.admit(slot);
    cache.reserve(Math.max(cache.span, cache.rows), Math.max(length, cache.tokens));
    cache.setLength(slot, length);
    eachElement(cache, slot, (data, at, wanted) => {
      data[at] = wanted;
    });
  }

  function assertHolds(cache: SlotCache, slot: number, length: number): void {
    assert.equal(cache.lengthOf(slot), length);
    let seen = 0;
    eachElement(cache, slot, (data, at, wanted) => {
      assert.equal(data[at], wanted);
      seen++;
    });
    assert.equal(seen, length * 10);
  }

  it("takes the shape it is told, larger or smaller, and keeps what it holds", () => {
    const cache = open();
    for (const slot of [5, 2, 0]) admit(cache, slot, 7 + slot);
    cache.reserve(8, 256);
    const [before] = cache.tensors;
    cache.reserve(8, 256);
    assert.equal(cache.tensors[0], before, "the same shape is the same memory");
    cache.release(2);
    cache.reserve(2, 300);
    assert.deepEqual([cache.rows, cache.tokens, cache.span], [2, 300, 2]);
    assertHolds(cache, 5, 12);
    assertHolds(cache, 0, 7);
  });

  it("forgets what does not fit into fewer tokens", () => {
    const cache = open();
    for (const slot of [0, 1]) admit(cache, slot, 20);
    cache.reserve(2, 12);
    for (const slot of [0, 1]) assertHolds(cache, slot, 12);
  });

  const copies = [
    ["in host memory", () => copyInHostMemory],
    ["by runs on a device", () => copier.copy.bind(copier) as typeof copyInHostMemory],
  ] as const;
  for (const [name, copy] of copies) {
    it(`moves sequences into the first rows and others out of them, ${name}`, () => {
      const cache = open({ copy: copy() });
      for (const slot of [0, 1, 2, 3, 4, 5]) admit(cache, slot, 10 + slot);
      cache.release(1);
      cache.arrange([5, 2, 4]);
      assert.deepEqual(new Set([5, 2, 4].map((slot) => cache.rowOf(slot))), new Set([0, 1, 2]));
      assert.equal(cache.rowOf(2), 2, "what is in place stays");
      for (const slot of [0, 2, 3, 4, 5]) assertHolds(cache, slot, 10 + slot);
      cache.reserve(cache.rows, 1000);
      for (const slot of [0, 2, 3, 4, 5]) assertHolds(cache, slot, 10 + slot);
    });

    it(`starts a sequence as another's first tokens, ${name}`, () => {
      const cache = open({ copy: copy() });
      admit(cache, 3, 12);
      cache.reserve(2, 64);
      cache.copy(3, 1, 5);
      assert.equal(cache.lengthOf(1), 5);
      assertHolds(cache, 3, 12);
      const rowsOf = (slot: number) => ENTRIES.flatMap((_, entry) => headsOf(cache, slot, entry, 5));
      assert.deepEqual(rowsOf(1), rowsOf(3));
    });
  }

  it("gives a new sequence the lowest free row, and its slot's old length to nobody", () => {
    const cache = open();
    for (const slot of [0, 1, 2]) admit(cache, slot, 5);
    cache.release(1);
    cache.release(1);
    assert.equal(cache.rowOf(1), undefined);
    assert.equal(cache.lengthOf(1), 0);
    cache.admit(4);
    assert.equal(cache.rowOf(4), 1);
    assert.equal(cache.lengthOf(4), 0);
    cache.admit(4);
    assert.equal(cache.rowOf(4), 1);
    assertHolds(cache, 2, 5);
  });

  it("forgets free rows at the end, so that nothing is moved for them", () => {
    const cache = open({ copy: () => assert.fail("copied") });
    admit(cache, 0, 5);
    cache.release(0);
    assert.equal(cache.span, 0);
    cache.arrange([]);
    assert.equal(cache.span, 0);
  });

  it("is as it was when memory for more is refused", () => {
    const cache = open();
    admit(cache, 0, 9);
    assert.throws(() => cache.reserve(1, 2 ** 43), { code: "out_of_memory" });
    assert.deepEqual([cache.rows, cache.tokens], [1, 9]);
    assertHolds(cache, 0, 9);
  });
});
