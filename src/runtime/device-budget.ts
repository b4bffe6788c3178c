import { VitrineError } from "../errors.js";
import type { ModelDescription } from "../protocol.js";

/** A device's memory, in bytes, with the model loaded and warm. */
export interface DeviceMemory {
  /** By all processes. */
  readonly used: number;
  readonly total: number;
}

type Sizes = Pick<ModelDescription, "name" | "contextLength" | "kvBytesPerToken" | "vocabSize">;

/**
 * Bytes that the KV cache may take of a device's memory: what is left of the share that may be used, after everything
 * that is in use already and the logits of a full batch. Throws `device_unavailable` where that does not hold one
 * sequence of the model's whole context.
 * @param share 0 to 1, of all the device has
 */
export function kvBudget({ used, total }: DeviceMemory, share: number, model: Sizes, maxSequences: number): number {
  const logits = maxSequences * model.vocabSize * Float32Array.BYTES_PER_ELEMENT;
  const left = Math.floor(total * share) - used - logits;
  const needed = model.contextLength * model.kvBytesPerToken;
  if (left >= needed) return left;
  throw new VitrineError(
    "device_unavailable",
    `${model.name} does not fit on the GPU: of its ${size(total)}, ${percent(share)} may be used; ${size(used)} are in use with ` +
      `the model loaded, and ${size(logits)} go to logits, which leaves ${size(Math.max(0, left))} for the KV cache. One sequence ` +
      `of ${model.contextLength} tokens takes ${size(needed)}. Use a smaller dtype, free memory that other processes hold, raise ` +
      "--gpu-memory-utilization, or give --kv-memory to serve shorter sequences.",
    { param: "gpu-memory-utilization" },
  );
}

const percent = (share: number): string => `${Math.round(share * 1000) / 10} %`;

const size = (bytes: number): string =>
  bytes < 2 ** 30 ? `${Math.round(bytes / 2 ** 20)} MiB` : `${(bytes / 2 ** 30).toFixed(1)} GiB`;
