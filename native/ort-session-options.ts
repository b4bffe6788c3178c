import type { CudaStream } from "./cuda-stream.js";
import { EXECUTE_SEQUENTIALLY, LOG_FATAL, OPTIMIZE_ALL, type Out, type Pointer } from "./ort-api.js";
import { createCudaOptions, cudaStreamOptions } from "./ort-cuda-options.js";
import { NATIVE, type OrtEnvironment } from "./ort-environment.js";
import { check, stored } from "./ort-library.js";

export interface OrtSessionOptions {
  /** Threads of one operator; 0 or undefined lets ONNX Runtime choose. */
  readonly threads?: number;
  /** Runs on its CUDA device, in its order; the CPU takes what CUDA has no kernel for. */
  readonly stream?: CudaStream;
  /** Further options of the CUDA provider (onnxruntime_provider_options), e.g. `gpu_mem_limit`. */
  readonly cudaOptions?: Readonly<Record<string, string>>;
  /** The folder of a graph's external data, for a graph that is given as bytes; a file's is its own folder. */
  readonly externalDataFolder?: string;
  /** Session configuration entries (onnxruntime_session_options_config_keys.h). */
  readonly entries?: Readonly<Record<string, string>>;
}

const EXTERNAL_DATA_FOLDER = "session.model_external_initializers_file_folder_path";

/** The caller releases them, once a session was made or not. */
export function createSessionOptions(
  environment: OrtEnvironment,
  options: OrtSessionOptions,
): Pointer<"SessionOptions"> {
  const { api } = environment[NATIVE];
  const out: Out<Pointer<"SessionOptions">> = [null];
  check(api, api.CreateSessionOptions(out), "create session options");
  const settings = stored(out);
  try {
    apply(environment, settings, options);
    return settings;
  } catch (error) {
    api.ReleaseSessionOptions(settings);
    throw error;
  }
}

function apply(environment: OrtEnvironment, settings: Pointer<"SessionOptions">, options: OrtSessionOptions): void {
  const { api } = environment[NATIVE];
  const { threads = 0, stream, cudaOptions = {}, externalDataFolder } = options;
  const folder = externalDataFolder === undefined ? {} : { [EXTERNAL_DATA_FOLDER]: externalDataFolder };
  check(api, api.SetSessionLogSeverityLevel(settings, LOG_FATAL), "set the log level");
  check(api, api.SetSessionGraphOptimizationLevel(settings, OPTIMIZE_ALL), "set the optimization level");
  // A decoder is a chain: branches side by side only made its steps slower.
  check(api, api.SetSessionExecutionMode(settings, EXECUTE_SEQUENTIALLY), "set the execution mode");
  check(api, api.SetInterOpNumThreads(settings, 1), "set the threads between operators");
  check(api, api.SetIntraOpNumThreads(settings, threads), `use ${threads} threads`);
  for (const [key, value] of Object.entries({ ...folder, ...options.entries })) {
    check(api, api.AddSessionConfigEntry(settings, key, value), `set ${key}`);
  }
  if (stream !== undefined) appendCuda(environment, settings, { ...cudaOptions, ...cudaStreamOptions(stream) });
}

/** By name, as other providers are, ONNX Runtime refuses CUDA: it has options of its own. */
function appendCuda(
  environment: OrtEnvironment,
  settings: Pointer<"SessionOptions">,
  options: Readonly<Record<string, string>>,
): void {
  const { api } = environment[NATIVE];
  const cuda = createCudaOptions(environment, options);
  try {
    check(api, api.SessionOptionsAppendExecutionProvider_CUDA_V2(settings, cuda), "use CUDA");
  } finally {
    api.ReleaseCUDAProviderOptions(cuda);
  }
}
