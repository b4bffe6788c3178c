import { isOutOfMemory, NativeError } from "../../native/ort.js";
import { VitrineError } from "../errors.js";
import { reasonOf } from "./files/json-file.js";

/** What ONNX Runtime threw in a run or an allocation: `out_of_memory` where that is what it was, else `inference_failed`. */
export function runFailure(cause: unknown): VitrineError {
  if (cause instanceof VitrineError) return cause;
  const reason =
    cause instanceof NativeError ? cause.message : `ONNX Runtime could not run the model: ${reasonOf(cause)}`;
  const short = cause instanceof NativeError ? cause.code === "out_of_memory" : isOutOfMemory(reason);
  if (!short) return new VitrineError("inference_failed", reason, { cause });
  const cure =
    "Send a shorter request or fewer at once, or start the server with less --kv-memory or --gpu-memory-utilization, " +
    "which leaves more for runs.";
  return new VitrineError("out_of_memory", `${reason.replace(/\.?\s*$/, ".")} ${cure}`, { cause });
}
