import assert from "node:assert/strict";
import type { CacheHolder } from "../../../../src/engine/cache/cache-slot.js";
import { KvCache, type KvMemory } from "../../../../src/engine/cache/kv-cache.js";
import { TokenList } from "../../../../src/engine/scheduling/token-list.js";
import { VitrineError } from "../../../../src/errors.js";

/** A cache that writes down what its memory is told. */
function open(
  rows: number,
  tokens: number,
  options: { cells?: number; rewinds?: boolean; memory?: { cells: number }; copyFails?: boolean } = {},
) {
  const { cells = rows * tokens, rewinds = true, memory = { cells } } = options;
  const told: string[] = [];
  const kvMemory: KvMemory = {
    rewinds,
    reserve: (...shape) => {
      if (shape[0] * shape[1] > memory.cells) throw new Error("out of memory");
      told.push(`reserve ${shape.join("x")}`);
    },
    copy: (from, to, length) => {
      if (options.copyFails) throw new Error("out of memory");
      told.push(`copy ${from} to ${to}: ${length}`);
    },
    release: (slot) => void told.push(`release ${slot}`),
  };
  const cache = new KvCache({ rows, tokens, cells, memory: kvMemory, clock: () => 0 });
  const take = () => told.splice(0);
  return { cache, take };
}

interface Mutable extends CacheHolder {
  cached: number;
}

const holder = (id: string, tokens: readonly number[], salt = ""): Mutable => ({
  id,
  salt,
  tokens: new TokenList(Int32Array.from(tokens)),
  cached: 0,
});

const upTo = (length: number, from = 0): number[] => Array.from({ length }, (_, i) => from + i);

/** Admits, fills and lets go: what it had stays. */
function keep(cache: KvCache, id: string, tokens: readonly number[], salt?: string): number {
  const past = holder(id, tokens, salt);
  const admission = cache.admit(past, tokens.length);
  assert.ok(admission !== undefined);
  past.cached = tokens.length;
  cache.release(admission.slot, true);
  cache.checkInvariants();
  return admission.slot;
}

describe("KvCache", () => {
  it("hands out each slot once, and says so when none is left", () => {
    const { cache } = open(2, 10);
    const slots = ["a", "b"].map((id) => cache.admit(holder(id, [1]), 4)?.slot);
    assert.deepEqual(new Set(slots), new Set([0, 1]));
    assert.equal(cache.admit(holder("c", [1]), 1), undefined);
    assert.equal(cache.ownerOf(slots[0] as number), "a");
    cache.checkInvariants();
  });

  it("counts reserved tokens and their share of the pool", () => {
    const { cache } = open(2, 10);
    const slot = cache.admit(holder("a", [1]), 4)?.slot as number;
    cache.admit(holder("b", [2]), 10);
    assert.deepEqual([cache.tokensTotal, cache.tokensReserved, cache.utilization], [20, 14, 0.7]);
    assert.ok(cache.extend(slot, 6));
    assert.equal(cache.tokensReserved, 16);
    cache.release(slot, false);
    assert.equal(cache.tokensReserved, 10);
    assert.throws(() => cache.release(slot, false), /nobody holds it/);
    cache.checkInvariants();
  });

  describe("memory", () => {
    it("grows by doubling in rows and tokens", () => {
      const { cache, take } = open(8, 2048);
      const first = cache.admit(holder("a", [1]), 10)?.slot as number;
      assert.deepEqual(take(), ["reserve 1x256"]);
      cache.admit(holder("b", [2]), 10);
      cache.admit(holder("c", [3]), 10);
      assert.deepEqual(take(), ["reserve 2x256", "reserve 4x256"]);
      assert.ok(cache.extend(first, 257));
      assert.deepEqual(take(), ["reserve 4x512"]);
      assert.ok(cache.extend(first, 500));
      assert.deepEqual(take(), []);
    });

    it("stays within its cells: rows that are not needed make way for tokens", () => {
      const { cache, take } = open(8, 2048, { cells: 1024 });
      const first = cache.admit(holder("a", [1]), 10)?.slot as number;
      cache.admit(holder("b", [2]), 10);
      cache.admit(holder("c", [3]), 10);
      take();
      assert.ok(cache.extend(first, 300));
      assert.deepEqual(take(), ["reserve 3x341"]);
      assert.equal(cache.extend(first, 342), false);
      assert.equal(cache.admit(holder("d", [4]), 10), undefined);
      cache.checkInvariants();
    });

    it("gives up what was kept the longest before it says no", () => {
      const { cache, take } = open(8, 2048, { cells: 1024 });
      const [old, recent] = [keep(cache, "old", upTo(300)), keep(cache, "recent", upTo(300, 1000))];
      take();
      const admitted = cache.admit(holder("a", upTo(400, 5000)), 400);
      assert.deepEqual(take(), [`release ${old}`]);
      assert.equal(cache.tokensEvicted, 300);
      assert.equal(cache.tokensKept, 300);
      assert.ok(cache.extend(admitted?.slot as number, 1024));
      assert.deepEqual(take(), [`release ${recent}`, "reserve 1x1024"]);
      cache.checkInvariants();
    });

    it("believes the memory rather than the limit once it was refused, until nobody holds any", () => {
      const memory = { cells: 600 };
      const { cache, take } = open(4, 2048, { memory });
      const first = cache.admit(holder("a", [1]), 200)?.slot as number;
      assert.equal(cache.extend(first, 1500), false);
      assert.ok(cache.extend(first, 256));
      assert.equal(cache.extend(first, 257), false);
      assert.equal(cache.mostTokens, 2048, "a later request may still have it");
      cache.release(first, false);
      memory.cells = 4096;
      take();
      assert.notEqual(cache.admit(holder("b", [1]), 1500), undefined);
      assert.deepEqual(take(), ["reserve 1x2048"]);
      cache.checkInvariants();
    });

    it("takes a device that is lost for no want of memory", () => {
      const error = new VitrineError("engine_lost", "The GPU is lost.");
      const reserve = (): never => {
        throw error;
      };
      const memory = { rewinds: true, reserve, copy: () => {}, release: () => {} };
      const cache = new KvCache({ rows: 4, tokens: 2048, cells: 4096, memory, clock: () => 0 });
      assert.throws(() => cache.admit(holder("a", [1]), 200), error);
    });

    it("starts again where the first allocation was refused", () => {
      const memory = { cells: 10 };
      const { cache } = open(4, 2048, { memory });
      assert.equal(cache.admit(holder("a", [1]), 200), undefined);
      memory.cells = 4096;
      assert.notEqual(cache.admit(holder("a", [1]), 200), undefined);
    });
  });

  describe("prefixes", () => {
    it("starts a request in the slot of one that began alike and ended", () => {
      const { cache, take } = open(4, 1024);
      const slot = keep(cache, "first turn", upTo(20));
      take();
      assert.deepEqual(cache.admit(holder("second", [...upTo(20), 7, 8]), 23), { slot, reused: 20 });
      assert.deepEqual(take(), []);
      assert.equal(cache.tokensKept, 0);
      cache.checkInvariants();
    });

    it("leaves the last token to be fed, however much is kept", () => {
      const { cache } = open(4, 1024);
      keep(cache, "first", upTo(20));
      assert.equal(cache.admit(holder("again", upTo(20)), 21)?.reused, 19);
    });

    it("copies where taking over would lose more than it uses, and from those who still run", () => {
      const { cache, take } = open(4, 1024);
      const long = keep(cache, "long", upTo(100));
      take();
      const shared = cache.admit(holder("short", [...upTo(10), 500]), 12);
      assert.equal(shared?.reused, 10);
      assert.deepEqual(take(), ["reserve 2x256", `copy ${long} to ${shared?.slot}: 10`]);
      assert.equal(cache.tokensKept, 100);

      const running = holder("running", upTo(30, 200));
      const slot = cache.admit(running, 31)?.slot as number;
      running.cached = 25;
      take();
      const other = cache.admit(holder("beside", upTo(30, 200)), 31);
      assert.equal(other?.reused, 25);
      assert.deepEqual(take(), [`copy ${slot} to ${other?.slot}: 25`]);
      cache.checkInvariants();
    });

    it("starts afresh where there is no memory for the copying", () => {
      const { cache, take } = open(4, 1024, { copyFails: true });
      const kept = keep(cache, "long", upTo(100));
      take();
      const admitted = cache.admit(holder("short", [...upTo(10), 500]), 12);
      assert.deepEqual([admitted?.reused, admitted?.slot === kept], [0, false]);
      assert.deepEqual(take(), ["reserve 2x256", `release ${admitted?.slot}`]);
      cache.checkInvariants();
    });

    it("takes a slot over when there is no other left", () => {
      const { cache } = open(1, 1024);
      const slot = keep(cache, "long", upTo(100));
      assert.deepEqual(cache.admit(holder("short", [...upTo(10), 500]), 12), { slot, reused: 10 });
      assert.equal(cache.tokensEvicted, 90);
    });

    it("shares nothing between different salts", () => {
      const { cache } = open(4, 1024);
      keep(cache, "hers", upTo(20), "key a");
      assert.equal(cache.reusable(holder("his", upTo(20), "key b")), 0);
      assert.equal(cache.admit(holder("his", upTo(20), "key b"), 21)?.reused, 0);
      assert.equal(cache.reusable(holder("hers too", upTo(20), "key a")), 19);
    });

    it("uses only the whole of a slot where the runner cannot go back", () => {
      const { cache } = open(4, 1024, { rewinds: false });
      keep(cache, "first", upTo(20));
      assert.equal(cache.reusable(holder("less", [...upTo(19), 99, 98])), 0);
      assert.equal(cache.reusable(holder("more", upTo(22))), 20);
      const running = holder("running", upTo(30, 200));
      cache.admit(running, 31);
      running.cached = 30;
      assert.equal(cache.reusable(holder("beside", upTo(40, 200))), 0);
    });

    it("keeps nothing of a request whose slot may hold anything", () => {
      const { cache, take } = open(4, 1024);
      const broken = holder("broken", upTo(20));
      const slot = cache.admit(broken, 21)?.slot as number;
      broken.cached = 20;
      take();
      cache.release(slot, false);
      assert.deepEqual(take(), [`release ${slot}`]);
      assert.equal(cache.reusable(holder("again", upTo(20))), 0);
    });
  });

  it("finds a sequence that owns two slots", () => {
    const { cache } = open(2, 10);
    const twice = holder("a", [1]);
    cache.admit(twice, 1);
    cache.admit(twice, 1);
    assert.throws(() => cache.checkInvariants(), /owns two slots/);
  });
});
