/** What a device's memory costs, and random traffic against a plain model of what a cache is. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { SlotCache } from "../../../../src/runtime/native/slot-cache.js";
import { type CachePlace, type DevicePlace, devicePlace, hostPlace } from "../../../support/cache-places.js";
import { compiler } from "../../../support/compile-library.js";
import { type CudaStub, openCudaStub } from "../../../support/cuda-stub.js";
import { requirePart } from "../../../support/requirements.js";

const LAYERS = 24;
const MANY = Array.from({ length: 2 * LAYERS }, () => ({ heads: 8, headDim: 4 }));
const FEW = [
  { heads: 2, headDim: 3 },
  { heads: 1, headDim: 4 },
];

describe("slot cache on a device", () => {
  let stub: CudaStub;
  let place: DevicePlace;
  let cache: SlotCache;
  before(function () {
    requirePart(this, compiler());
    stub = openCudaStub();
  });
  beforeEach(() => {
    place = devicePlace(stub);
    cache = new SlotCache({ ...place, entries: MANY });
    for (const slot of [0, 1, 2, 3]) cache.admit(slot);
    cache.reserve(4, 32);
    for (const slot of [0, 1, 2, 3]) cache.setLength(slot, 4 + slot);
  });
  afterEach(() => {
    cache?.dispose();
    place?.close();
  });

  /** Calls of the driver's copies and waits during `act`. */
  function callsIn(act: () => void): { copies: number; waits: number } {
    const names = [
      "cuMemcpy2DAsync_v2",
      "cuMemcpyDtoDAsync_v2",
      "cuMemcpyHtoDAsync_v2",
      "cuMemcpyDtoHAsync_v2",
    ] as const;
    const copies = () => names.reduce((sum, name) => sum + stub.count(name), 0);
    const before = { copies: copies(), waits: stub.count("cuStreamSynchronize") };
    act();
    return { copies: copies() - before.copies, waits: stub.count("cuStreamSynchronize") - before.waits };
  }

  it("copies a sequence's beginning in one call for each tensor, and waits for none", () => {
    assert.deepEqual(
      callsIn(() => cache.copy(3, 1, 5)),
      { copies: 2 * LAYERS, waits: 0 },
    );
  });

  it("exchanges rows in three calls for each tensor, and waits for none", () => {
    assert.deepEqual(
      callsIn(() => cache.arrange([3])),
      { copies: 3 * 2 * LAYERS, waits: 0 },
    );
  });

  it("grows in one call for each tensor", () => {
    assert.equal(callsIn(() => cache.reserve(4, 64)).copies, 2 * LAYERS);
  });

  it("has one tensor twice while it grows, not all of them, and gives back what it no longer needs", () => {
    const tensor = 4 * 8 * 32 * 4 * 2;
    const row = tensor / 4;
    assert.equal(stub.count("allocated"), 2 * LAYERS * tensor + row);
    stub.forgetPeak();
    cache.reserve(4, 64);
    assert.equal(stub.count("allocated"), 2 * (2 * LAYERS * tensor + row));
    assert.equal(stub.count("peak"), 2 * (2 * LAYERS * tensor + row) + tensor + row);
    cache.reserve(4, 32);
    assert.equal(stub.count("allocated"), 2 * LAYERS * tensor + row);
    cache.dispose();
    assert.equal(stub.count("allocated"), 0);
  });

  it("gives back what a growth had taken that failed, as far as there is memory to do so", () => {
    const before = stub.count("allocated");
    place.failAllocation(20, 1);
    assert.throws(() => cache.reserve(4, 64), { code: "out_of_memory" });
    assert.equal(stub.count("allocated"), before);
  });

  it("is as it was, and loses nothing, when a copy fails", () => {
    const before = stub.count("allocated");
    stub.fail("cuMemcpy2DAsync_v2", 700, 10);
    assert.throws(() => cache.reserve(4, 64), { code: "failed" });
    assert.deepEqual([cache.rows, cache.tokens, stub.count("allocated")], [4, 32, before]);
  });

  it("holds no more after a thousand growths, moves and failures", () => {
    const before = stub.count("allocated");
    for (let round = 0; round < 250; round++) {
      cache.reserve(4 + (round % 3), 40);
      cache.arrange([round % 4]);
      place.failAllocation(1 + (round % 49), 1 + (round % 5));
      assert.throws(() => cache.reserve(8, 64), { code: "out_of_memory" });
      place.failAllocation(0, 0);
      cache.reserve(4, 32);
    }
    assert.equal(stub.count("allocated"), before);
  });
});

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

/** Plays events on a cache and on a list of tokens a slot; each token's elements tell which it is. */
class Traffic {
  readonly #sequences: Model[] = [];
  readonly #cache: SlotCache;
  #nextToken = 1;

  constructor(readonly place: CachePlace) {
    this.#cache = new SlotCache({ ...place, entries: FEW });
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
    for (const [entry, { heads, headDim }] of FEW.entries()) {
      for (let head = 0; head < heads; head++) {
        const start = ((this.#cache.rowOf(slot) as number) * heads + head) * this.#cache.tokens * headDim;
        visit(this.#cache.tensors[entry] as SlotCache["tensors"][number], start, entry, head, headDim);
      }
    }
  }
}

const elements = (token: number, entry: number, head: number, headDim: number): number[] =>
  Array.from({ length: headDim }, (_, d) => token * 100 + entry * 40 + head * 10 + d);

describe("slot cache in random traffic", () => {
  let stub: CudaStub | undefined;
  for (const where of ["the CPU", "a device"] as const) {
    it(`holds what a list of tokens holds, on ${where}`, function () {
      this.timeout(30_000);
      if (where === "a device") {
        requirePart(this, compiler());
        stub ??= openCudaStub();
      }
      fc.assert(
        fc.property(fc.array(event, { maxLength: 40 }), (events) => {
          const traffic = new Traffic(where === "the CPU" ? hostPlace() : devicePlace(stub));
          try {
            for (const happened of events) {
              traffic.play(happened);
              traffic.check();
            }
          } finally {
            traffic.close();
          }
        }),
        { numRuns: 150 },
      );
    });
  }
});
