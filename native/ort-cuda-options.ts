import type { CudaStream } from "./cuda-stream.js";
import { koffi } from "./koffi.js";
import { NativeError } from "./native-error.js";
import { POINTER } from "./native-object.js";
import type { Out, Pointer } from "./ort-api.js";
import { NATIVE, type OrtEnvironment } from "./ort-environment.js";
import { check, stored } from "./ort-library.js";

type Options = Readonly<Record<string, string>>;

/** Without which runs would be in another order than copies, and nobody would say so. */
const VITAL = ["has_user_compute_stream", "user_compute_stream"];

/**
 * Makes the CUDA provider compute in the stream. It reads an address as a decimal `size_t`, and takes it over only where
 * it is told that there is one (onnxruntime/core/providers/cuda: `FromProviderOptions` in
 * cuda_execution_provider_info.cc, `UpdateProviderOptions` in cuda_provider_factory.cc).
 */
export function cudaStreamOptions(stream: CudaStream): Options {
  return {
    device_id: String(stream.device),
    has_user_compute_stream: "1",
    user_compute_stream: String(stream[POINTER]()),
  };
}

/**
 * Options of the CUDA provider, which the caller releases. Throws NativeError `failed`, also where the provider did not
 * take over the stream that it was given.
 */
export function createCudaOptions(environment: OrtEnvironment, options: Options): Pointer<"CudaOptions"> {
  const { api } = environment[NATIVE];
  const out: Out<Pointer<"CudaOptions">> = [null];
  check(api, api.CreateCUDAProviderOptions(out), "create CUDA options");
  environment.endInOrder();
  const cuda = stored(out);
  try {
    const keys = Object.keys(options);
    check(api, api.UpdateCUDAProviderOptions(cuda, keys, Object.values(options), keys.length), "set CUDA options");
    const taken = readBack(environment, cuda);
    for (const key of VITAL) {
      if (!(key in options) || options[key] === taken.get(key)) continue;
      const difference = `${key} is ${taken.get(key)}, not ${options[key]}`;
      throw new NativeError("failed", `ONNX Runtime's CUDA provider did not take its options: ${difference}.`);
    }
    return cuda;
  } catch (error) {
    api.ReleaseCUDAProviderOptions(cuda);
    throw error;
  }
}

function readBack(environment: OrtEnvironment, cuda: Pointer<"CudaOptions">): ReadonlyMap<string, string> {
  const { api, allocator } = environment[NATIVE];
  const text: Out<Pointer<"Text">> = [null];
  check(api, api.GetCUDAProviderOptionsAsString(cuda, allocator, text), "read CUDA options back");
  const pairs = koffi.decode.string(stored(text)).split(";");
  check(api, api.AllocatorFree(allocator, stored(text)), "free CUDA options");
  return new Map(pairs.map((pair) => pair.split("=", 2) as [string, string]));
}
