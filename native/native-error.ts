/**
 * What went wrong in native code, by cause. `misuse` is a caller's mistake that was caught before native code saw it;
 * the others after `disposed` are ONNX Runtime's own answers.
 */
export type NativeErrorCode =
  | "misuse"
  | "disposed"
  /** The library is missing, does not fit, or failed its self-test. */
  | "library"
  | "no_such_file"
  | "invalid_graph"
  | "invalid_argument"
  | "not_implemented"
  | "out_of_memory"
  /** What was queued on a device failed: nothing of this process works there any more, nor is its memory what it was. */
  | "device_lost"
  /** The run was ended by `OrtRunOptions.terminate`. */
  | "terminated"
  | "failed";

/** What allocators, CUDA and the C++ library say in an error's text, which has no code for it. */
export const isOutOfMemory = (message: string): boolean =>
  /bad_alloc|[Ff]ailed to allocate memory|out of memory|ALLOC_FAILED|smaller than requested bytes/.test(message);

/** ONNX Runtime's text of a failure of CUDA without the machine's name in it (`CudaCall`, cuda_call.cc): clients read it. */
export const withoutHostname = (message: string): string => message.replace(/ ; hostname=[^;]*(?=;|$)/g, " ");

/** The only error that `native/` throws on purpose. */
export class NativeError extends Error {
  override readonly name = "NativeError";

  constructor(
    readonly code: NativeErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
