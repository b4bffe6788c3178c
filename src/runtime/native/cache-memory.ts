import { OrtCopier, OrtMemory, type OrtSession, type OrtTensor } from "../../../native/ort.js";
import type { DeviceChoice } from "../../protocol.js";
import type { FloatType } from "../graph-signature.js";

/** Copies `size` elements from one place to another that does not overlap it. */
export type CopyElements = (
  source: OrtTensor<FloatType>,
  from: number,
  target: OrtTensor<FloatType>,
  to: number,
  size: number,
) => void;

/** Where the KV cache lives: beside the attention that updates it. */
export interface CacheMemory {
  readonly memory: OrtMemory;
  readonly copy: CopyElements;
  dispose(): void;
}

export async function openCacheMemory(
  session: OrtSession,
  type: FloatType,
  device: DeviceChoice,
): Promise<CacheMemory> {
  const { environment } = session;
  // Of GroupQueryAttention CUDA has kernels for half precision alone: in single precision it runs on the CPU.
  if (device.provider === "cpu" || type === "float32") {
    const memory = OrtMemory.cpu(environment);
    return { memory, copy: copyInHostMemory, dispose: () => memory.dispose() };
  }
  const cudaDevice = device.deviceId ?? 0;
  const memory = OrtMemory.cuda(session, cudaDevice);
  try {
    const copier = await OrtCopier.create<FloatType>(environment, type, { cudaDevice });
    const dispose = (): void => {
      copier.dispose();
      memory.dispose();
    };
    return { memory, copy: (source, from, target, to, size) => copier.copy(source, from, target, to, size), dispose };
  } catch (error) {
    memory.dispose();
    throw error;
  }
}

export const copyInHostMemory: CopyElements = (source, from, target, to, size) => {
  target.data.set(source.data.subarray(from, from + size), to);
};
