import { OrtMemory, type OrtSession, type OrtTensor } from "../../../native/ort.js";
import type { TopLogits } from "../../engine/runner.js";
import { toFloat32 } from "../floats/floats.js";
import type { FloatType, GraphSignature } from "../signature/graph-signature.js";
import { DeviceLogits } from "./device-logits.js";

/** Where runs leave their logits, and how to get at them there. What it gives is good until the next run. */
export interface LogitsMemory {
  readonly memory: OrtMemory;
  /** `size` logits from element `from` on. */
  read(logits: OrtTensor<FloatType>, from: number, size: number): Float32Array;
  /** The likeliest of each of `rows` rows from row `first` on; absent where all logits are at hand. */
  readonly top?: (logits: OrtTensor<FloatType>, first: number, rows: number) => readonly TopLogits[];
  /** Lets go of the logits that it was asked about last, so that their memory can be freed. */
  forget?(): void;
  dispose(): void;
}

/** In the device's memory, so that a row crosses the bus only where somebody needs all of it. */
export async function openLogitsMemory(
  { environment, stream }: OrtSession,
  { logits, vocabSize }: GraphSignature,
): Promise<LogitsMemory> {
  if (stream === undefined) return hostLogits(OrtMemory.cpu(environment));
  const memory = OrtMemory.cuda(environment, stream);
  try {
    return await DeviceLogits.open(environment, memory, { type: logits.type, vocabSize });
  } catch (error) {
    memory.dispose();
    throw error;
  }
}

function hostLogits(memory: OrtMemory): LogitsMemory {
  const read: LogitsMemory["read"] = ({ type, data }, from, size) => toFloat32(type, data.subarray(from, from + size));
  return { memory, read, dispose: () => memory.dispose() };
}
