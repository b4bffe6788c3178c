import { CudaStream, NativeError, type NativeErrorCode } from "../../native/ort.js";
import { VitrineError } from "../errors.js";
import type { DeviceChoice } from "../protocol.js";
import { reasonOf } from "./files/json-file.js";
import { runFailure } from "./run-failure.js";

/** What can be waited for on a device. */
export type DeviceWork = Pick<CudaStream, "synchronize">;

/** That there is no driver to ask, or no memory to ask with, says nothing of the device. */
const TELLS_NOTHING: ReadonlySet<NativeErrorCode> = new Set(["library", "out_of_memory"]);

/**
 * What went wrong in a step: `engine_lost` where the device is lost with it, elsewhere what `runFailure` says. ONNX Runtime
 * reports a kernel's failure in words; the driver reports it again at every later call of the process, so it is asked.
 */
export function stepFailure(cause: unknown, work: DeviceWork | undefined): VitrineError {
  if (cause instanceof VitrineError) return cause;
  const lost = cause instanceof NativeError && cause.code === "device_lost" ? cause : whyLost(work);
  if (lost === undefined) return runFailure(cause);
  return new VitrineError("engine_lost", `The GPU is lost to the engine process, which ends: ${reasonOf(lost)}`, {
    cause,
  });
}

/** For a runner that has no stream of its own on a device; undefined on the CPU. */
export function workOn({ provider, deviceId = 0 }: DeviceChoice): DeviceWork | undefined {
  if (provider === "cpu") return undefined;
  const synchronize = (): void => {
    const stream = CudaStream.open(deviceId);
    try {
      stream.synchronize();
    } finally {
      stream.dispose();
    }
  };
  return { synchronize };
}

function whyLost(work: DeviceWork | undefined): unknown {
  try {
    work?.synchronize();
    return undefined;
  } catch (error) {
    return error instanceof NativeError && TELLS_NOTHING.has(error.code) ? undefined : error;
  }
}
