/** What a device's memory costs, and random traffic against a plain model of what a cache is. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { SlotCache } from "../../../../src/runtime/native/slot-cache.js";
import { type DevicePlace, devicePlace, hostPlace } from "../../../support/cache-places.js";
import { playTraffic, traffic } from "../../../support/cache-traffic.js";
import { compiler } from "../../../support/compile-library.js";
import { type CudaStub, openCudaStub } from "../../../support/cuda-stub.js";
import { requirePart } from "../../../support/requirements.js";

const LAYERS = 24;
const MANY = Array.from({ length: 2 * LAYERS }, () => ({ heads: 8, headDim: 4 }));

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

  it("holds zeros where no token is, as attention multiplies what it masks", () => {
    const NAN = 0xffff;
    cache.arrange([3]);
    cache.copy(3, 1, 5);
    cache.reserve(5, 64);
    cache.reserve(4, 40);
    for (const tensor of cache.tensors) assert.ok(!place.read(tensor, 0, tensor.size).includes(NAN));
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
    assert.throws(() => cache.reserve(4, 64), { code: "device_lost" });
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
        fc.property(traffic, (events) => playTraffic(where === "the CPU" ? hostPlace() : devicePlace(stub), events)),
        { numRuns: 150 },
      );
    });
  }
});
