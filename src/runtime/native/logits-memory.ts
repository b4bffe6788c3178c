import { OrtMemory, type OrtSession, type OrtTensor } from "../../../native/ort.js";
import type { TopLogits } from "../../engine/runner.js";
import type { DeviceChoice } from "../../protocol.js";
import { toFloat32 } from "../floats.js";
import type { FloatType, GraphSignature } from "../graph-signature.js";
import { DeviceLogits } from "./device-logits.js";

/** Where runs leave their logits, and how to get at them there. What it gives is good until the next run. */
export interface LogitsMemory {
  readonly memory: OrtMemory;
  /** `size` logits from element `from` on. */
  read(logits: OrtTensor<FloatType>, from: number, size: number): Float32Array;
  /** The likeliest of each of `rows` rows from row `first` on; absent where all logits are at hand. */
  readonly top?: (logits: OrtTensor<FloatType>, first: number, rows: number) => readonly TopLogits[];
  dispose(): void;
}

/** In the device's memory, so that a row crosses the bus only where somebody needs all of it. */
export async function openLogitsMemory(
  session: OrtSession,
  { logits, vocabSize }: GraphSignature,
  device: DeviceChoice,
): Promise<LogitsMemory> {
  if (device.provider === "cpu") return hostLogits(OrtMemory.cpu(session.environment));
  const cudaDevice = device.deviceId ?? 0;
  const memory = OrtMemory.cuda(session, cudaDevice);
  try {
    return await DeviceLogits.open(session, memory, { type: logits.type, vocabSize, session: { cudaDevice } });
  } catch (error) {
    memory.dispose();
    throw error;
  }
}

function hostLogits(memory: OrtMemory): LogitsMemory {
  const read: LogitsMemory["read"] = ({ type, data }, from, size) => toFloat32(type, data.subarray(from, from + size));
  return { memory, read, dispose: () => memory.dispose() };
}
