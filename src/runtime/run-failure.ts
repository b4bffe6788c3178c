import { isOutOfMemory, NativeError } from "../../native/ort.js";
import { VitrineError } from "../errors.js";
import { reasonOf } from "./files/json-file.js";

const CURE =
  "Send a shorter request or fewer at once, or start the server with less --kv-memory or --gpu-memory-utilization, " +
  "which leaves more for runs.";

/** What a run or an allocation threw: `out_of_memory` where that is what it was, else `inference_failed`. */
export function runFailure(cause: unknown): VitrineError {
  if (cause instanceof VitrineError) return cause;
  const reason = reasonOf(cause);
  const short = cause instanceof NativeError ? cause.code === "out_of_memory" : isOutOfMemory(reason);
  if (!short) return VitrineError.from(cause, "inference_failed");
  return new VitrineError("out_of_memory", `${reason.replace(/\.?\s*$/, ".")} ${CURE}`, { cause });
}
