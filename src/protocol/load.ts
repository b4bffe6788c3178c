import type { Micros } from "./clock.js";
import type { DeviceRequest, Dtype, RuntimeRequest } from "./device.js";

export interface LoadOptions {
  readonly modelDir: string;
  /** `auto` takes the first the directory has, in an order the runtime documents. */
  readonly dtype: Dtype | "auto";
  readonly device: DeviceRequest;
  /** Intra-op threads; 0 lets ONNX Runtime choose. */
  readonly threads: number;
  /** Most sequences that run at once. */
  readonly maxSequences: number;
  /** Most bytes of KV cache; absent: what `maxSequences` of the longest sequences take. */
  readonly kvMemory?: number;
  /** Share of a GPU's memory that may be filled; where given, it decides there in place of `kvMemory`. */
  readonly gpuMemoryUtilization?: number;
  /** Most prompt tokens in one step; absent: the engine's choice. */
  readonly prefillChunk?: number;
  /** Longest time between two tokens of a stream that the planner aims at, in milliseconds; absent: none. */
  readonly targetTpotMs?: number;
  /** `auto` when absent. */
  readonly runtime?: RuntimeRequest;
  /** One sentence: why `auto` is not to take the native runtime, as a process before found out. */
  readonly nativeFailure?: string;
  /** Continues "CUDA did not start: ": why `auto` is not to take CUDA, as a process before found out. */
  readonly cudaFailure?: string;
  /** 4-bit models faster than their file says: int8 activations where it leaves them open, an 8-bit head; true when absent. */
  readonly fastInt4?: boolean;
  /** Decode steps as CUDA graphs where they can be; true when absent. */
  readonly replay?: boolean;
}

/** What the engine found out about the model it loaded. */
export interface ModelDescription {
  /** Directory name; the id clients use. */
  readonly name: string;
  readonly dtype: Dtype;
  readonly vocabSize: number;
  /** Most positions of one sequence, prompt and output together: the model's, or fewer where `kvMemory` holds no more. */
  readonly contextLength: number;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Bytes of KV cache one token takes, over all layers. */
  readonly kvBytesPerToken: number;
  /** Of those, the most in one tensor. */
  readonly kvTensorBytesPerToken: number;
  /** Bytes of the graph file and its external data. */
  readonly weightBytes: number;
  /** What was changed in the graph as it was loaded, or why it was not: a sentence each. */
  readonly rewrites?: readonly string[];
  /** What of the model's files looks wrong though it runs, and what of the model there is no memory for: a sentence each. */
  readonly warnings?: readonly string[];
}

export type LoadPhaseName = "session.create" | "tokenizer.load" | "warmup" | "rehearsal" | "model.download";

export interface LoadPhase {
  readonly name: LoadPhaseName;
  readonly start: Micros;
  readonly end: Micros;
  /** Of a rehearsal. */
  readonly rehearsal?: RehearsalResult;
}

/** What came of checking on the device that the native runtime's ways of running a model agree. */
export interface RehearsalResult {
  readonly checks: number;
  /** The largest distance of logits from the right ones, 1 being that of another text; absent where they were no numbers. */
  readonly largestError?: number;
  /** Names of the checks that failed. */
  readonly failed: readonly string[];
}

/** Timings of one engine start; an `error` marks the phase that was running when it failed. */
export interface LoadTimeline {
  readonly start: Micros;
  readonly end: Micros;
  readonly phases: readonly LoadPhase[];
}
