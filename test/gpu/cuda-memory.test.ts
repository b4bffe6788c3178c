/** What the stub of the driver stands for, on a real device: ONNX Runtime's CUDA provider is not needed. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { CudaAllocation, CudaStream, cudaDeviceUuid } from "../../native/cuda.js";
import { streamPlace } from "../support/cache-places.js";
import { playTraffic, traffic } from "../support/cache-traffic.js";
import { requirePart } from "../support/requirements.js";

const MIB = 2 ** 20;

describe("CUDA's driver on a device", function () {
  this.timeout(60_000);

  before(function () {
    requirePart(this, {
      name: "an NVIDIA GPU",
      available: cudaDeviceUuid(0) !== undefined,
      why: "CUDA has no device here",
      mandatoryInCi: false,
    });
  });

  it("copies blocks at any distance", () => {
    const stream = CudaStream.open(0);
    const [a, b] = [CudaAllocation.create(stream, 4096), CudaAllocation.create(stream, 4096)];
    const bytes = Uint8Array.from({ length: 4096 }, (_, index) => index % 251);
    stream.copyFromHost(bytes, a, 0);
    for (const [pitch, size] of [
      [7, 5],
      [250, 250],
      [768, 96],
    ] as const) {
      const blocks = (memory: CudaAllocation) => ({ memory, offset: 3, pitch });
      stream.copyBlocks(blocks(a), blocks(b), size, 5);
      const read = new Uint8Array(4096);
      stream.copyToHost(b, 0, read);
      stream.synchronize();
      for (let block = 0; block < 5; block++) {
        const [start, end] = [3 + block * pitch, 3 + block * pitch + size];
        assert.deepEqual(read.subarray(start, end), bytes.subarray(start, end));
      }
    }
    for (const object of [a, b, stream]) object.dispose();
  });

  it("gives memory back, and says how much there is where it runs out", () => {
    const stream = CudaStream.open(0);
    const { free, total } = stream.room;
    const allocation = CudaAllocation.create(stream, 256 * MIB);
    assert.ok(stream.room.free <= free - 255 * MIB);
    allocation.dispose();
    assert.ok(stream.room.free > free - 16 * MIB);
    assert.throws(() => CudaAllocation.create(stream, 2 * total), {
      code: "out_of_memory",
      message: / bytes are free/,
    });
    stream.dispose();
  });

  it("holds a cache through random traffic", () => {
    fc.assert(
      fc.property(traffic, (events) => playTraffic(streamPlace(CudaStream.open(0)), events)),
      { numRuns: 40 },
    );
  });
});
