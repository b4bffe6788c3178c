import assert from "node:assert/strict";
import { CudaStream, OrtEnvironment, type OrtSession } from "../../../../native/ort.js";
import { openCacheMemory } from "../../../../src/runtime/native/cache-memory.js";
import { compiler } from "../../../support/compile-library.js";
import { openCudaStub } from "../../../support/cuda-stub.js";
import { requirePart } from "../../../support/requirements.js";

describe("cache memory", () => {
  const environment = OrtEnvironment.open();
  /** Of a session, all that is asked. */
  const on = (stream?: CudaStream) => ({ environment, stream }) as OrtSession;

  it("is the CPU's for a session on the CPU", () => {
    const cache = openCacheMemory(on(), "float16");
    assert.equal(cache.memory.device, "cpu");
    cache.dispose();
  });

  it("is the device's for half precision, and the CPU's for single precision, which attention on CUDA has no kernel for", function () {
    requirePart(this, compiler());
    const stub = openCudaStub();
    const stream = CudaStream.open(0, stub.path);
    for (const [type, device] of [
      ["float16", "cuda"],
      ["float32", "cpu"],
    ] as const) {
      const cache = openCacheMemory(on(stream), type);
      assert.equal(cache.memory.device, device);
      cache.dispose();
    }
    stream.dispose();
    assert.deepEqual([stub.count("streams"), stub.count("contexts")], [0, 0]);
  });
});
