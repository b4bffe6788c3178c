import { CudaStream, NativeError, OrtEnvironment, OrtSession, selfTestOrt } from "../../../native/ort.js";
import { VitrineError } from "../../errors.js";
import type { DeviceChoice } from "../../protocol.js";
import type { PreparedGraph } from "../graph/prepare-graph.js";
import { explainSessionFailure } from "../node/node-session.js";
import { disableTelemetry } from "../node/onnxruntime.js";

/**
 * Of the CUDA provider. The arena takes what is asked for: doubling, its default, would claim memory that the KV cache
 * could have. fp32 stays fp32: TF32, its default, keeps 10 bits of 23. Attention is flash attention (1), or the memory
 * efficient one (2) on GPUs that are too old for it, and never cuDNN's, which plans anew for every length of a prompt. Its
 * search for convolution kernels is left alone: a decoder has no convolutions.
 */
const CUDA_OPTIONS = { arena_extend_strategy: "kSameAsRequested", use_tf32: "0", sdpa_kernel: "3" };

/** By device: what a process does on one is in one order. For ever, as is the context that ONNX Runtime makes there. */
const streams = new Map<number, CudaStream>();

let environment: Promise<OrtEnvironment> | undefined;

/**
 * Loads ONNX Runtime, once in a process and after it has passed its self-test; most of that is done on another thread.
 * Throws `internal` where it does not fit.
 */
export function startOrt(): Promise<OrtEnvironment> {
  environment ??= start();
  return environment;
}

async function start(): Promise<OrtEnvironment> {
  disableTelemetry();
  try {
    await selfTestOrt();
    return await OrtEnvironment.start();
  } catch (cause) {
    if (cause instanceof NativeError && cause.code === "library") {
      throw new VitrineError("internal", cause.message, { cause });
    }
    throw cause;
  }
}

/** The stream of a CUDA device in which its sessions run and its memory is copied. Throws as `CudaStream.open` does. */
export function streamOf(device: number): CudaStream {
  const stream = streams.get(device) ?? CudaStream.open(device);
  streams.set(device, stream);
  return stream;
}

/**
 * Creates a session through ONNX Runtime's C API; `cudaOptions` go to the CUDA provider, besides those of any session.
 * Throws as `startOrt` and `createNodeSession` do.
 */
export async function createNativeSession(
  graph: PreparedGraph,
  device: DeviceChoice,
  threads: number,
  cudaOptions: Readonly<Record<string, string>> = {},
): Promise<OrtSession> {
  const environment = await startOrt();
  try {
    const cuda =
      device.provider === "cuda"
        ? { stream: streamOf(device.deviceId ?? 0), cudaOptions: { ...CUDA_OPTIONS, ...cudaOptions } }
        : {};
    const { rewritten } = graph;
    const data = rewritten ? { externalDataFolder: rewritten.folder } : {};
    return await OrtSession.create(environment, rewritten?.bytes ?? graph.path, { threads, ...data, ...cuda });
  } catch (cause) {
    throw explainSessionFailure(cause, graph, device);
  }
}
