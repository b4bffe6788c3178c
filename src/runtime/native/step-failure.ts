import { type CudaStream, NativeError } from "../../../native/ort.js";
import { VitrineError } from "../../errors.js";
import { reasonOf } from "../files/json-file.js";

/**
 * What went wrong in a step: `engine_lost` where the device is lost with it, `inference_failed` elsewhere. ONNX Runtime
 * reports a kernel's failure in words; the driver reports it again at every later call of the process, so it is asked.
 */
export function stepFailure(cause: unknown, stream: Pick<CudaStream, "synchronize"> | undefined): VitrineError {
  if (cause instanceof VitrineError) return cause;
  const lost = cause instanceof NativeError && cause.code === "device_lost" ? cause : whyLost(stream);
  if (lost === undefined) return VitrineError.from(cause, "inference_failed");
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
