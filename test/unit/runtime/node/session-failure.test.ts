import assert from "node:assert/strict";
import { NativeError } from "../../../../native/ort.js";
import { VitrineError } from "../../../../src/errors.js";
import { explainSessionFailure } from "../../../../src/runtime/node/node-session.js";
import { runFailure } from "../../../../src/runtime/run-failure.js";

const graph = { path: "m/model.onnx", dtype: "fp16", weightBytes: 3 * 2 ** 30, notes: [], nodes: [] } as never;
const GPU = { requested: "cuda", provider: "cuda", deviceId: 2, reason: "" } as const;

/** As ONNX Runtime, CUDA, cuBLAS and the C++ library say it. */
const NO_MEMORY = [
  "BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 1073741824",
  "CUDA failure 2: out of memory ; GPU=0",
  "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
  "Available memory of 0 is smaller than requested bytes of 4096",
  "std::bad_alloc",
];

describe("no memory", () => {
  for (const reason of NO_MEMORY) {
    it(`is what it is called, at load and in a run: ${reason}`, () => {
      const { code, message } = explainSessionFailure(new Error(reason), graph, GPU);
      assert.equal(code, "device_unavailable");
      assert.match(
        message,
        /^m\/model\.onnx does not fit: its weights take 3072 MiB, .* on CUDA device 2\. Use a smaller dtype/,
      );
      assert.equal(runFailure(new Error(reason)).code, "out_of_memory");
      assert.match(runFailure(new Error(reason)).message, /less --kv-memory or --gpu-memory-utilization/);
    });
  }

  it("is not what other failures are called", () => {
    assert.equal(explainSessionFailure(new Error("protobuf parsing failed"), graph, GPU).code, "model_invalid");
    const native = runFailure(new NativeError("failed", "a kernel said: out of memory of shapes"));
    assert.equal(native.code, "inference_failed", "the code says it");
    const own = new VitrineError("inference_failed", "out of memory");
    assert.equal(runFailure(own), own);
  });
});
