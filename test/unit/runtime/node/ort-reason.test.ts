import assert from "node:assert/strict";
import { ortReason } from "../../../../src/runtime/node/ort-reason.js";

describe("ONNX Runtime's reason", () => {
  it("is what CUDA said and in which call, without source files and the machine's name", () => {
    const place =
      "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:146 std::conditional_t<THRW, void, Status>";
    const function_ = `${place} onnxruntime::CudaCall(ERRTYPE, const char*) [with ERRTYPE = cudaError; bool THRW = true]`;
    const failure = "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version";
    const file = "GPU=-1 ; hostname=vm ; file=/onnxruntime_src/onnxruntime/core/providers/cuda/provider.cc ; line=352";
    assert.equal(
      ortReason(`${function_} ${function_} ${failure} ; ${file} ; expr=cudaSetDevice(info_.device_id); \n\n`),
      `${failure} (cudaSetDevice(info_.device_id))`,
    );
  });

  it("is one line", () => {
    const place =
      "could not set CUDA options: /src/core/session/provider_bridge_ort.cc:1988 Provider& ProviderLibrary::Get()";
    assert.equal(
      ortReason(`${place} [ONNXRuntimeError] : 1 : FAIL : Failed to load library /a.so with error:\n no symbol.\n`),
      "Failed to load library /a.so with error: no symbol",
    );
  });

  it("is any other text as it is, without its full stop", () => {
    assert.equal(
      ortReason("CUDA could not start: CUDA_ERROR_NO_DEVICE."),
      "CUDA could not start: CUDA_ERROR_NO_DEVICE",
    );
  });
});
