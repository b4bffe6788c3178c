import { type CudaStream, NativeError } from "../../../native/ort.js";
import { VitrineError } from "../../errors.js";
import { reasonOf } from "../files/json-file.js";
import { runFailure } from "../run-failure.js";

/**
 * What went wrong in a step: `engine_lost` where the device is lost with it, elsewhere what `runFailure` says. ONNX Runtime
 * reports a kernel's failure in words; the driver reports it again at every later call of the process, so it is asked.
 */
export function stepFailure(cause: unknown, stream: Pick<CudaStream, "synchronize"> | undefined): VitrineError {
  if (cause instanceof VitrineError) return cause;
  const lost = cause instanceof NativeError && cause.code === "device_lost" ? cause : whyLost(stream);
  if (lost === undefined) return runFailure(cause);
  return new VitrineError("engine_lost", `The GPU is lost to the engine process, which ends: ${reasonOf(lost)}`, {
    cause,
  });
}

function whyLost(stream: Pick<CudaStream, "synchronize"> | undefined): unknown {
  try {
    stream?.synchronize();
    return undefined;
  } catch (error) {
    return error;
  }
}
