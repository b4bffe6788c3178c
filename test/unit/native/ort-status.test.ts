import assert from "node:assert/strict";
import type { OrtApi, Pointer } from "../../../native/ort-api.js";
import { check } from "../../../native/ort-library.js";

describe("a status of ONNX Runtime", () => {
  /** `ORT_FAIL` unless said otherwise. */
  const thrown = (message: string, code = 1): unknown => {
    const api = { GetErrorCode: () => code, GetErrorMessage: () => message, ReleaseStatus: () => {} };
    try {
      check(api as unknown as OrtApi, 1n as Pointer<"Status">, "run the model");
    } catch (error) {
      return (error as { code?: unknown }).code;
    }
    return undefined;
  };

  it("says that memory ran out, in the words of whoever it was", () => {
    for (const message of [
      "std::bad_alloc",
      "bfc_arena.cc:393 AllocateRawInternal Failed to allocate memory for requested buffer of size 1073741824",
      "Available memory of 1024 is smaller than requested bytes of 2048",
      "CUDA failure 2: out of memory ; GPU=0 ; hostname=h ; file=f ; line=1 ; expr=cudaMallocAsync(&p, size, stream); ",
      "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; hostname=h ; file=f ; line=1 ; expr=cublasCreate(&h); ",
      "CUDNN failure 4002: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ; GPU=0",
    ]) {
      assert.equal(thrown(message), "out_of_memory", message);
    }
  });

  it("is taken for nothing else", () => {
    assert.equal(thrown("CUDA failure 700: an illegal memory access was encountered ; GPU=0"), "failed");
    assert.equal(thrown("Exiting due to terminate flag being set to true."), "terminated");
    assert.equal(thrown("cos_cache dimension 0 shall not be less than total_sequence_length.", 2), "invalid_argument");
  });
});
