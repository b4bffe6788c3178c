import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { CudaAllocation, CudaStream, cudaDeviceUuid } from "../../../native/cuda.js";
import { compiler } from "../../support/compile-library.js";
import { type CudaStub, compileCudaStub, openCudaStub } from "../../support/cuda-stub.js";
import { stubUuid } from "../../support/nvml-stub.js";
import { requirePart } from "../../support/requirements.js";

describe("without NVIDIA's driver", () => {
  const nobodys = "libcuda-that-nobody-has.so.1";

  it("CUDA numbers no devices", () => {
    assert.equal(cudaDeviceUuid(0, nobodys), undefined);
  });

  it("there is no stream", () => {
    assert.throws(() => CudaStream.open(0, nobodys), {
      code: "library",
      message: /^libcuda-that-nobody-has.so.1 cannot be used; install or update NVIDIA's driver: /,
    });
  });
});

describe("CUDA's driver", () => {
  let stub: CudaStub;
  before(function () {
    requirePart(this, compiler());
    stub = openCudaStub();
  });
  afterEach(() => {
    stub.limit(2 ** 40);
    stub.pitchUnit(1);
    assert.deepEqual([stub.count("faults"), stub.fault()], [0, ""]);
    assert.deepEqual([stub.count("blocks"), stub.count("streams"), stub.count("contexts")], [0, 0, 0]);
  });

  const fill = (stream: CudaStream, target: CudaAllocation, from = 0): Uint8Array => {
    const bytes = Uint8Array.from({ length: target.bytes }, (_, index) => (index + from) % 251);
    stream.copyFromHost(bytes, target, 0);
    stream.synchronize();
    return bytes;
  };
  const read = (stream: CudaStream, source: CudaAllocation): Uint8Array => {
    const bytes = new Uint8Array(source.bytes);
    stream.copyToHost(source, 0, bytes);
    stream.synchronize();
    return bytes;
  };
  /** With two allocations of 240 bytes. */
  function withTwo(use: (stream: CudaStream, a: CudaAllocation, b: CudaAllocation) => void): void {
    const stream = CudaStream.open(1, stub.path);
    const [a, b] = [CudaAllocation.create(stream, 240), CudaAllocation.create(stream, 240)];
    try {
      use(stream, a, b);
    } finally {
      for (const object of [stream, a, b]) object.dispose();
    }
  }

  it("names a device by its UUID", () => {
    assert.equal(`GPU-${cudaDeviceUuid(0, stub.path)}`, stubUuid(3));
    assert.equal(`GPU-${cudaDeviceUuid(2, stub.path)}`, stubUuid(1));
    assert.equal(cudaDeviceUuid(4, stub.path), undefined);
  });

  it("gives memory that is zero, whatever was in it", () => {
    withTwo((stream, a) => {
      assert.deepEqual(read(stream, a), new Uint8Array(240));
      const { length } = fill(stream, a, 1);
      a.dispose();
      const again = CudaAllocation.create(stream, length);
      assert.deepEqual(read(stream, again), new Uint8Array(length));
      again.dispose();
    });
  });

  it("gives back memory that it could not clear", () => {
    withTwo((stream) => {
      stub.fail("cuMemsetD8Async", 700);
      assert.throws(() => CudaAllocation.create(stream, 8), { code: "device_lost", message: /could not clear memory/ });
      assert.equal(stub.count("blocks"), 2);
    });
  });

  it("says why it does not start, and that a device is not there", () => {
    const broken = compileCudaStub(100);
    assert.equal(cudaDeviceUuid(0, broken), undefined);
    assert.throws(() => CudaStream.open(0, broken), {
      code: "failed",
      message: "CUDA could not start: CUDA_ERROR_NO_DEVICE (no CUDA-capable device is detected).",
    });
    assert.throws(() => CudaStream.open(4, stub.path), {
      code: "invalid_argument",
      message: /find device 4.*ordinal/,
    });
  });

  it("tells a device's memory, and has it back when an allocation is disposed", () => {
    stub.limit(1000);
    const stream = CudaStream.open(0, stub.path);
    const allocation = CudaAllocation.create(stream, 600);
    assert.deepEqual(stream.room, { free: 400, total: 1000 });
    assert.throws(() => CudaAllocation.create(stream, 401), {
      code: "out_of_memory",
      message:
        "CUDA could not allocate 401 bytes on device 0: CUDA_ERROR_OUT_OF_MEMORY (out of memory); 400 of 1000 bytes are free.",
    });
    allocation.dispose();
    allocation.dispose();
    assert.deepEqual(stream.room, { free: 1000, total: 1000 });
    CudaAllocation.create(stream, 0).dispose();
    stream.dispose();
    assert.throws(() => stream.room, { code: "disposed" });
  });

  it("has copied to this process only after the stream was waited for", () => {
    withTwo((stream, a) => {
      const bytes = fill(stream, a);
      const arrived = new Uint8Array(240);
      stream.copyToHost(a, 0, arrived);
      assert.deepEqual(arrived, new Uint8Array(240), "the stub does it late");
      stream.synchronize();
      assert.deepEqual(arrived, bytes);
    });
  });

  it("does what is queued in order, within one allocation and between two", () => {
    withTwo((stream, a, b) => {
      const bytes = fill(stream, a);
      const block = (memory: CudaAllocation, offset: number) => ({ memory, offset, pitch: 0 });
      stream.copyBlocks(block(a, 0), block(b, 100), 40, 1);
      stream.copyBlocks(block(b, 100), block(a, 200), 40, 1);
      stream.copyFromHost(Uint8Array.of(9, 9), b, 100);
      const got = read(stream, a);
      assert.deepEqual(got.subarray(200), bytes.subarray(0, 40));
      assert.deepEqual([...read(stream, b).subarray(99, 103)], [0, 9, 9, 2]);
    });
  });

  for (const [how, unit, calls] of [
    ["in one call", 1, 0],
    ["one by one where the driver refuses their distance", 512, 4],
  ] as const) {
    it(`copies blocks ${how}`, () => {
      withTwo((stream, a, b) => {
        stub.pitchUnit(unit);
        const before = stub.count("cuMemcpyDtoDAsync_v2");
        const bytes = fill(stream, a);
        stream.copyBlocks({ memory: a, offset: 3, pitch: 50 }, { memory: b, offset: 1, pitch: 20 }, 7, 4);
        assert.equal(stub.count("cuMemcpyDtoDAsync_v2") - before, calls);
        const expected = new Uint8Array(240);
        for (let block = 0; block < 4; block++) {
          expected.set(bytes.subarray(3 + block * 50, 10 + block * 50), 1 + block * 20);
        }
        assert.deepEqual(read(stream, b), expected);
      });
    });
  }

  it("copies nothing where there is nothing to copy", () => {
    withTwo((stream, a, b) => {
      const at = (memory: CudaAllocation) => ({ memory, offset: 240, pitch: 10 });
      stream.copyBlocks(at(a), at(b), 0, 1);
      stream.copyBlocks(at(a), at(b), 10, 0);
      stream.copyFromHost(new Uint8Array(0), a, 240);
      stream.copyToHost(a, 240, new Uint8Array(0));
    });
  });

  it("never sees an offset that is not within the memory", () => {
    withTwo((stream, a, b) => {
      const blocks = (memory: CudaAllocation, offset: number, pitch: number) => ({ memory, offset, pitch });
      const wrong: (() => void)[] = [
        () => stream.copyFromHost(new Uint8Array(241), a, 0),
        () => stream.copyFromHost(new Uint8Array(1), a, 240),
        () => stream.copyFromHost(new Uint8Array(1), a, -1),
        () => stream.copyToHost(a, 0.5, new Uint8Array(1)),
        () => stream.copyBlocks(blocks(a, 41, 50), blocks(b, 0, 50), 50, 4),
        () => stream.copyBlocks(blocks(a, 0, 50), blocks(b, 0, 64), 50, 4),
        () => stream.copyBlocks(blocks(a, 0, 49), blocks(b, 0, 50), 50, 2),
        () => stream.copyBlocks(blocks(a, 0, 50), blocks(b, 0, 50), -1, 1),
      ];
      for (const call of wrong) assert.throws(call, { code: "misuse" });
      a.dispose();
      assert.throws(() => stream.copyFromHost(new Uint8Array(1), a, 0), { code: "disposed" });
    });
  });

  it("reports what went wrong in the stream", () => {
    withTwo((stream, a) => {
      stub.fail("cuStreamSynchronize", 700);
      stream.copyFromHost(new Uint8Array(3), a, 0);
      assert.throws(() => stream.synchronize(), {
        code: "device_lost",
        message: /^CUDA could not finish what was queued: CUDA_ERROR_ILLEGAL_ADDRESS \(an illegal memory access/,
      });
      stub.fail("cuMemcpyDtoHAsync_v2", 2);
      assert.throws(() => stream.copyToHost(a, 0, new Uint8Array(1)), { code: "out_of_memory" });
      stub.fail("cuMemcpyDtoHAsync_v2", 4321);
      assert.throws(() => stream.copyToHost(a, 0, new Uint8Array(1)), { message: /error 4321 \(unknown\)/ });
    });
  });

  it("lets things be disposed in any order, and with copies queued", () => {
    const stream = CudaStream.open(0, stub.path);
    const [a, b] = [CudaAllocation.create(stream, 64), CudaAllocation.create(stream, 64)];
    stream.copyBlocks({ memory: a, offset: 0, pitch: 0 }, { memory: b, offset: 0, pitch: 0 }, 64, 1);
    stream.dispose();
    assert.throws(() => stream.synchronize(), { code: "disposed" });
    assert.throws(() => CudaAllocation.create(stream, 1), { code: "disposed" });
    a.dispose();
    b.dispose();
  });

  it("keeps two devices apart on one thread", () => {
    const streams = [CudaStream.open(0, stub.path), CudaStream.open(3, stub.path)] as const;
    const memory = streams.map((stream) => CudaAllocation.create(stream, 8)) as [CudaAllocation, CudaAllocation];
    fill(streams[0], memory[0], 1);
    fill(streams[1], memory[1], 100);
    assert.deepEqual(read(streams[0], memory[0])[0], 1);
    assert.deepEqual(read(streams[1], memory[1])[0], 100);
    for (const object of [...memory, ...streams]) object.dispose();
  });

  it("keeps what a queued copy reads or writes, and no longer than until it is done", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const stream = CudaStream.open(0, stub.path);
    const memory = CudaAllocation.create(stream, 1 << 20);
    const queued = ((): WeakRef<ArrayBufferLike>[] => {
      const [source, target] = [new Uint8Array(1 << 20), new Uint8Array(1 << 20)];
      stream.copyFromHost(source, memory, 0);
      stream.copyToHost(memory, 0, target);
      return [new WeakRef(source.buffer), new WeakRef(target.buffer)];
    })();
    const alive = async (): Promise<boolean[]> => {
      // References that were read stay strong until the event loop turns.
      await setImmediate();
      collect();
      return queued.map((reference) => reference.deref() !== undefined);
    };
    assert.deepEqual(await alive(), [true, true]);
    stream.synchronize();
    assert.deepEqual(await alive(), [false, false]);
    for (const object of [memory, stream]) object.dispose();
  });

  it("gives back all that a thousand rounds took", () => {
    for (let round = 0; round < 1000; round++) {
      withTwo((stream, a, b) => {
        stream.copyBlocks({ memory: a, offset: 0, pitch: 30 }, { memory: b, offset: 0, pitch: 24 }, 24, 8);
        if (round % 10 === 0) stub.fail("cuMemAlloc_v2", 2, 1);
        if (round % 10 === 0) assert.throws(() => CudaAllocation.create(stream, 1), { code: "out_of_memory" });
      });
    }
    assert.equal(stub.count("allocated"), 0);
  });
});
