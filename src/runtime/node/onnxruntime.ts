import { isMainThread } from "node:worker_threads";
import type * as OnnxRuntime from "onnxruntime-node";
import { VitrineError } from "../../errors.js";
import type { DeviceChoice } from "../../protocol.js";

/**
 * Loads onnxruntime-node, the only way in this project. The library of 1.30 writes telemetry state under the home
 * directory and is set up to upload, unless `ORT_DISABLE_TELEMETRY=1` is in the environment when it loads.
 */
export async function loadOnnxRuntime(): Promise<typeof OnnxRuntime> {
  disableTelemetry();
  const runtime = await import("onnxruntime-node");
  // What stops a load or a run comes as an exception; its own lines on stderr repeat that, and may quote token ids.
  runtime.env.logLevel = "fatal";
  keepHalfBits(runtime);
  return runtime;
}

/**
 * Makes float16 tensors hold bit patterns in a Uint16Array everywhere. Where Node has Float16Array (24 and later)
 * onnxruntime-common would use that, and the binding of 1.30 takes one for empty ("not enough space"). It looks for
 * the class once, when the first tensor is made: here, while there seems to be none.
 */
function keepHalfBits({ Tensor }: typeof OnnxRuntime): void {
  const found = Object.getOwnPropertyDescriptor(globalThis, "Float16Array");
  if (found === undefined) return;
  Reflect.deleteProperty(globalThis, "Float16Array");
  try {
    new Tensor("bool", new Uint8Array(1), [1]);
  } finally {
    Object.defineProperty(globalThis, "Float16Array", found);
  }
}

/**
 * Before the first session on CUDA of the process: NVIDIA's libraries read it once. onnxruntime-node's binding of 1.30
 * passes no option of the CUDA provider on but the device's number (js/node/src/session_options_helper.cc), and the
 * provider's default multiplies fp32 with 10 bits of mantissa (TF32). Whoever set the variable is obeyed.
 */
export function keepSinglePrecision({ provider }: DeviceChoice, environment: NodeJS.ProcessEnv = process.env): void {
  if (provider === "cuda") environment.NVIDIA_TF32_OVERRIDE ??= "0";
}

/** Before any load of the library, by whichever way. Throws `internal` in a worker thread that was started without. */
export function disableTelemetry(): void {
  if (process.env.ORT_DISABLE_TELEMETRY === "1") return;
  if (!isMainThread) {
    // A worker thread writes to a copy of the environment, which the native library does not see.
    throw new VitrineError("internal", "Set ORT_DISABLE_TELEMETRY=1 in the environment before ONNX Runtime loads.");
  }
  process.env.ORT_DISABLE_TELEMETRY = "1";
}
