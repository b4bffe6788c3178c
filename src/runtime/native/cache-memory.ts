import { type CudaStream, OrtMemory, type OrtSession, type OrtTensor } from "../../../native/ort.js";
import type { FloatType } from "../signature/graph-signature.js";

/** Places of equal size in a tensor, in elements: the first `start` from its beginning, each next one `stride` further on. */
export interface CacheBlocks {
  readonly tensor: OrtTensor<FloatType>;
  readonly start: number;
  readonly stride: number;
}

/** Copies `count` blocks of `size` elements. None may overlap another, nor what it is copied to. */
export type CopyBlocks = (source: CacheBlocks, target: CacheBlocks, size: number, count: number) => void;

/** Where the KV cache lives: beside the attention that updates it. */
export interface CacheMemory {
  readonly memory: OrtMemory;
  readonly copy: CopyBlocks;
  dispose(): void;
}

export function openCacheMemory({ environment, stream }: OrtSession, type: FloatType): CacheMemory {
  // Of GroupQueryAttention CUDA has kernels for half precision alone: in single precision it runs on the CPU.
  if (stream === undefined || type === "float32") return using(OrtMemory.cpu(environment), copyInHostMemory);
  return using(OrtMemory.cuda(environment, stream), copyOnDevice(stream));
}

function using(memory: OrtMemory, copy: CopyBlocks): CacheMemory {
  return { memory, copy, dispose: () => memory.dispose() };
}

export const copyInHostMemory: CopyBlocks = (source, target, size, count) => {
  const [from, to] = [source.tensor.data, target.tensor.data];
  for (let block = 0; block < count; block++) {
    const start = source.start + block * source.stride;
    to.set(from.subarray(start, start + size), target.start + block * target.stride);
  }
};

/** Queues the copies before whatever is queued next; all blocks are one call. */
export function copyOnDevice(stream: CudaStream): CopyBlocks {
  const inBytes = ({ tensor, start, stride }: CacheBlocks) => {
    const { elementBytes } = tensor;
    return { memory: tensor, offset: start * elementBytes, pitch: stride * elementBytes };
  };
  return (source, target, size, count) =>
    stream.copyBlocks(inBytes(source), inBytes(target), size * source.tensor.elementBytes, count);
}
