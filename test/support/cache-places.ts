/** Where a KV cache may live, each with a way to write, to read and to run out of memory. */
import assert from "node:assert/strict";
import { CudaStream, type ElementType, OrtEnvironment, OrtMemory, OrtTensor } from "../../native/ort.js";
import { type CopyBlocks, copyInHostMemory, copyOnDevice } from "../../src/runtime/native/cache-memory.js";
import type { FloatType } from "../../src/runtime/signature/graph-signature.js";
import { type CudaStub, openCudaStub } from "./cuda-stub.js";

type Floats = OrtTensor<FloatType>;

export interface CachePlace {
  readonly memory: OrtMemory;
  readonly copy: CopyBlocks;
  readonly type: FloatType;
  /** Whole numbers up to 65,535. */
  write(tensor: Floats, start: number, values: readonly number[]): void;
  read(tensor: Floats, start: number, size: number): number[];
  /** The n-th allocation from now on fails, and `times - 1` after it; 0 times takes that back. */
  failAllocation(n: number, times: number): void;
  /** Nothing is left, and nothing was done that must not be. */
  close(): void;
}

export function hostPlace(): CachePlace {
  const memory = OrtMemory.cpu(OrtEnvironment.open());
  const { allocate } = OrtTensor;
  let [untilFailure, failures] = [0, 0];
  OrtTensor.allocate = <T extends ElementType>(...[memory, type, shape]: [OrtMemory, T, readonly number[]]) => {
    if (untilFailure > 1) untilFailure--;
    else if (failures > 0) {
      failures--;
      // More than any machine has: ONNX Runtime's own refusal.
      return allocate(memory, type, [2 ** 50]);
    }
    return allocate(memory, type, shape);
  };
  return {
    memory,
    copy: copyInHostMemory,
    type: "float32",
    write: ({ data }, start, values) => data.set(values, start),
    read: ({ data }, start, size) => [...data.subarray(start, start + size)],
    failAllocation: (n, times) => {
      [untilFailure, failures] = [n, times];
    },
    close: () => {
      OrtTensor.allocate = allocate;
      memory.dispose();
    },
  };
}

export interface DevicePlace extends CachePlace {
  readonly stub: CudaStub;
  readonly stream: CudaStream;
}

/** Of a stub, which tells what was done wrong. */
export function devicePlace(stub: CudaStub = openCudaStub()): DevicePlace {
  stub.limit(1 << 30);
  const stream = CudaStream.open(0, stub.path);
  const place = streamPlace(stream);
  return {
    ...place,
    stub,
    stream,
    failAllocation: (n, times) => stub.fail("cuMemAlloc_v2", 2, n, times),
    close: () => {
      place.close();
      assert.deepEqual([stub.count("faults"), stub.fault()], [0, ""]);
      assert.deepEqual([stub.count("blocks"), stub.count("streams"), stub.count("contexts")], [0, 0, 0]);
    },
  };
}

/** Of a stream's device, which always has memory; half precision, as bit patterns. Closes the stream. */
export function streamPlace(stream: CudaStream): CachePlace {
  const memory = OrtMemory.cuda(OrtEnvironment.open(), stream);
  return {
    memory,
    copy: copyOnDevice(stream),
    type: "float16",
    write: (tensor, start, values) => stream.copyFromHost(Uint16Array.from(values), tensor, 2 * start),
    read: (tensor, start, size) => [...tensor.read(start, size)],
    failAllocation: () => {},
    close: () => {
      for (const object of [memory, stream]) object.dispose();
    },
  };
}
