import assert from "node:assert/strict";
import { KvCache } from "../../../src/engine/kv-cache.js";

describe("KvCache", () => {
  it("hands out each slot once, and says so when none is left", () => {
    const cache = new KvCache(2, 10);
    const slots = [cache.reserve("a", 4), cache.reserve("b", 10)];
    assert.deepEqual(new Set(slots), new Set([0, 1]));
    assert.equal(cache.reserve("c", 1), undefined);
    cache.checkInvariants();
  });

  it("counts reserved tokens and their share of the pool", () => {
    const cache = new KvCache(2, 10);
    const slot = cache.reserve("a", 4);
    cache.reserve("b", 10);
    assert.equal(cache.tokensTotal, 20);
    assert.equal(cache.tokensReserved, 14);
    assert.equal(cache.utilization, 0.7);
    cache.release(slot ?? -1);
    assert.equal(cache.tokensReserved, 10);
    cache.checkInvariants();
  });

  it("gives a released slot to the next owner", () => {
    const cache = new KvCache(1, 10);
    assert.equal(cache.reserve("a", 10), 0);
    cache.release(0);
    assert.equal(cache.ownerOf(0), undefined);
    assert.equal(cache.reserve("b", 10), 0);
    assert.equal(cache.ownerOf(0), "b");
  });

  it("refuses what can never fit, and a release of what nobody holds", () => {
    const cache = new KvCache(1, 10);
    assert.ok(cache.fits(10));
    assert.ok(!cache.fits(11));
    assert.throws(() => cache.reserve("a", 11), /exceeds a slot/);
    assert.throws(() => cache.release(0), /nobody holds it/);
  });

  it("finds a sequence that owns two slots", () => {
    const cache = new KvCache(2, 10);
    cache.reserve("a", 1);
    cache.reserve("a", 1);
    assert.throws(() => cache.checkInvariants(), /owns two slots/);
  });
});
