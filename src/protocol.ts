/**
 * Every message that crosses the engine boundary, split by direction, and the clock both sides read.
 * Messages travel over a child process channel with structured-clone serialization; the engine sends
 * one array of events a step. Times are `Micros`.
 */
import type { WireError } from "./errors.js";

/** Microseconds of the host's monotonic clock, which all processes of one host share. */
export type Micros = number;

/** Reads the monotonic clock (`process.hrtime`, CLOCK_MONOTONIC) in microseconds. */
export function monotonicMicros(): Micros {
  const [seconds, nanos] = process.hrtime();
  return seconds * 1e6 + nanos / 1e3;
}

/** How the next token is chosen. All fields are resolved: defaults are applied at the HTTP edge. */
export interface SamplingParams {
  /** 0 means greedy. */
  readonly temperature: number;
  /** Nucleus mass in (0, 1]; 1 keeps all. */
  readonly topP: number;
  /** Keep the k likeliest; 0 keeps all. */
  readonly topK: number;
  /** Keep tokens at least this fraction as likely as the likeliest; 0 keeps all. */
  readonly minP: number;
  /** Locally typical mass in (0, 1] (arXiv:2202.00666); 1 keeps all. */
  readonly typicalP: number;
  /** Added to the logits of these token ids before anything else (OpenAI's `logit_bias`). */
  readonly logitBias: readonly (readonly [token: number, bias: number])[];
  /** No id that ends the sequence is chosen before this many tokens of output. */
  readonly minTokens: number;
  /** Multiplicative penalty on tokens of prompt and output (CTRL, arXiv:1909.05858); 1 is none. */
  readonly repetitionPenalty: number;
  /** OpenAI's additive penalties on tokens of the output; 0 is none. */
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  /** Non-negative integer below 2^53. The same seed gives the same tokens. */
  readonly seed: number;
}

export type RequestId = string;

export interface EngineRequest {
  readonly id: RequestId;
  /** Prompt token ids, at least one. */
  readonly prompt: Int32Array;
  /** Most tokens to generate, at least 1; prompt + maxTokens fits the context (checked at the HTTP edge). */
  readonly maxTokens: number;
  /** Ids that end the sequence; the ending id is not part of the output. */
  readonly stopTokenIds: readonly number[];
  readonly sampling: SamplingParams;
  /** When the prompt was ready; the queue span starts here. */
  readonly submittedAt: Micros;
  /** Tell of every step that it is in, and which these were (`--trace-detail step`). */
  readonly recordSteps: boolean;
  /** Higher goes first; requests of one priority are served first in, first out. -10 to 10. */
  readonly priority: number;
  /** Cached prompts are shared only among requests with the same salt, so that timing tells a caller nothing of others'. */
  readonly cacheSalt: string;
  /** Report log probabilities of each chosen token and this many likeliest alternatives, 0 to 20. Absent: none. */
  readonly logprobs?: number;
  /** Report those of the prompt's own tokens too (`echo` with `logprobs`). */
  readonly promptLogprobs?: boolean;
  /** What the output must be; absent: anything. */
  readonly grammar?: Grammar;
}

/** A language that the output is held to, token by token. */
export type Grammar = JsonGrammar | ToolCallGrammar;

export type JsonGrammar =
  /** Any JSON object. */
  | { readonly kind: "json_object" }
  /** JSON that validates against this schema (JSON Schema, as text). */
  | { readonly kind: "json_schema"; readonly schema: string };

/** Calls of these tools, or, as far as `otherwise` allows, something else. */
export interface ToolCallGrammar {
  readonly kind: "tool_calls";
  readonly format: ToolCallFormat;
  readonly tools: readonly ToolSignature[];
  /** More than one call. */
  readonly parallel: boolean;
  /** What the output may be instead of calls; text may also come before them. */
  readonly otherwise: "nothing" | "text" | JsonGrammar;
}

export interface ToolSignature {
  readonly name: string;
  /** JSON Schema of its arguments, as text. */
  readonly parameters: string;
}

/** How a model writes calls: `open` name `middle` arguments, for each further one `between` name …, and at last `close`. */
export interface ToolCallFormat {
  readonly open: string;
  /** The beginning of `open` that gives a call away wherever it comes; empty where a call is one only at the start. */
  readonly marker: string;
  readonly middle: string;
  /** Undefined where the model writes one call a turn. */
  readonly between: string | undefined;
  readonly close: string;
}

/** Log probability of a token, natural logarithm, of the model's own distribution before any sampling parameter. */
export interface TokenLogprob {
  readonly token: number;
  readonly logprob: number;
}

/** What `logprobs` asks for, for one position. */
export interface PositionLogprobs extends TokenLogprob {
  /** The likeliest tokens, best first. */
  readonly top: readonly TokenLogprob[];
}

export type DeviceRequest = "auto" | "cpu" | `cuda` | `cuda:${number}`;
export type Dtype = "fp32" | "fp16" | "bf16" | "q4" | "q4f16" | "int8" | "uint8" | "bnb4";

/** Which way into ONNX Runtime: its C API, onnxruntime-node's binding, or the first that can run the graph. */
export type RuntimeRequest = "auto" | "native" | "node";

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

export type CancelCause = "client_gone" | "timeout" | "drain";

export type EngineCommand =
  | { readonly type: "load"; readonly options: LoadOptions }
  | { readonly type: "submit"; readonly request: EngineRequest }
  /** The server found a stop string: end as finished, reason `stop`. */
  | { readonly type: "stop"; readonly id: RequestId }
  | { readonly type: "cancel"; readonly id: RequestId; readonly cause: CancelCause }
  | { readonly type: "shutdown" };

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

/** Which runner runs the model and why. */
export interface RuntimeChoice {
  readonly requested: RuntimeRequest;
  readonly kind: "native" | "node";
  /** One sentence, e.g. why `auto` fell back to onnxruntime-node. */
  readonly reason: string;
}

/** Where the model runs and why, as `/health`, the start-up log and spans report it. */
export interface DeviceChoice {
  readonly requested: DeviceRequest;
  readonly provider: "cpu" | "cuda";
  /** Set when the provider is `cuda`. */
  readonly deviceId?: number;
  /** Where the KV cache lies, which need not be where the model runs; set once a runner is made. */
  readonly kvCache?: "cpu" | "cuda";
  /** One sentence, e.g. why `auto` fell back to the CPU. */
  readonly reason: string;
  /** Set once a runner is made. */
  readonly runtime?: RuntimeChoice;
  /** Set for the native runtime on CUDA. */
  readonly replay?: ReplayChoice;
}

/** Whether decode steps are captured once and replayed, as a CUDA graph. */
export interface ReplayChoice {
  readonly on: boolean;
  /** One sentence. */
  readonly reason: string;
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

/** From submission to admission. */
export interface QueueStats {
  readonly start: Micros;
  readonly end: Micros;
  /** Requests that were waiting ahead when this one arrived. */
  readonly depth: number;
}

/** What was done where memory for the KV cache could not be had. */
export type GrowthFallback =
  /** Less was asked for, and had. */
  | "less"
  /** What ended requests had left was given up. */
  | "eviction"
  /** The request waits until another ends. */
  | "wait"
  /** The youngest request gives its cache up, and waits. */
  | "preemption"
  /** There is nobody to wait for. */
  | "failure";

/** What it took to make the KV cache's memory larger, or to learn that it cannot be. All requests wait for that. */
export interface CacheGrowth {
  readonly start: Micros;
  readonly end: Micros;
  /** Bytes that were allocated before, and after. */
  readonly fromBytes: number;
  readonly toBytes: number;
  /** The most bytes in all that were asked for and could not be had, and what was done instead; absent when all were. */
  readonly refused?: { readonly bytes: number; readonly fallback: GrowthFallback };
}

/** One reservation of KV cache. */
export interface AllocationStats {
  readonly start: Micros;
  readonly end: Micros;
  readonly tokens: number;
  readonly bytes: number;
  readonly reusedTokens: number;
  readonly evictedTokens: number;
  /** From when there was no memory for it, though it was its turn, until it was admitted; of the time in the queue. */
  readonly waitMs: number;
  /** Bytes that are allocated, for all requests. */
  readonly poolBytes: number;
  /** Reserved share of the pool after this reservation, 0 to 1. */
  readonly poolUtilization: number;
  /** Absent when the memory was large enough. */
  readonly growth?: CacheGrowth;
}

/**
 * The forward passes of one phase of one request. `start` is the end of what came before, the reservation or the
 * prefill, so that a request's timings leave no gap; `end` is that of the last pass.
 */
export interface ForwardStats {
  readonly phase: "prefill" | "decode";
  readonly start: Micros;
  readonly end: Micros;
  /** Forward passes this request took part in. */
  readonly steps: number;
  /** Tokens fed for this request over those passes. */
  readonly tokens: number;
  readonly meanBatchSize: number;
  readonly maxStepMs: number;
  /** What such a pass was expected to take, on average, in milliseconds; absent while the engine is learning. */
  readonly expectedStepMs?: number;
  /** This request's share of the device time of those passes, in seconds. */
  readonly deviceSeconds: number;
  /** What of the time between passes the KV cache's memory took to grow, for whichever request; absent when it did not. */
  readonly cacheGrowthMs?: number;
  /** Which they were, when `recordSteps` was asked for. */
  readonly stepNumbers?: StepNumbers;
}

/** Steps are counted from 1 in each run of the engine. */
export interface StepNumbers {
  readonly first: number;
  readonly last: number;
  /** The one that took longest. */
  readonly slowest: number;
}

/** One step: one forward pass for one phase of all requests in it. */
export interface StepStats {
  readonly number: number;
  readonly phase: ForwardStats["phase"];
  readonly start: Micros;
  readonly end: Micros;
  readonly batchSize: number;
  /** Tokens fed over all its rows, guesses included. */
  readonly tokens: number;
  /** Tokens in the cache once they were fed, over all its rows. */
  readonly contextTokens: number;
  /** What it was expected to take, in milliseconds; absent while the engine is learning. */
  readonly expectedMs?: number;
  /** Those of its requests that asked to have their steps recorded. */
  readonly requests: readonly RequestId[];
  readonly error?: WireError;
}

/** One run of an engine process, from `ready` to its end. */
export interface EngineRun {
  /** 32 random lower-case hex digits. */
  readonly id: string;
  readonly model: string;
  readonly device: DeviceChoice;
}

export type FinishReason = "stop" | "length";

export type Outcome =
  | { readonly kind: "finished"; readonly reason: FinishReason }
  | { readonly kind: "cancelled"; readonly cause: CancelCause }
  | { readonly kind: "failed"; readonly error: WireError };

/**
 * Events of one request, in order: admitted, prefilled, token…, ended; between two tokens it may be preempted, and then
 * admitted and prefilled again. `cache_growth` may come at any time before the end. `ended` comes exactly once, whatever
 * happened.
 */
export type RequestEvent =
  | {
      readonly type: "admitted";
      readonly id: RequestId;
      /** When its grammar was compiled, before it queued; at the first admission only. */
      readonly grammar?: { readonly start: Micros; readonly end: Micros };
      readonly queue: QueueStats;
      readonly allocation: AllocationStats;
      /** Where it runs; added by the client of that engine. */
      readonly run?: EngineRun;
    }
  | { readonly type: "prefilled"; readonly id: RequestId; readonly forward: ForwardStats }
  /** For each token of the prompt but the first, which nothing precedes. */
  | { readonly type: "prompt_logprobs"; readonly id: RequestId; readonly positions: readonly PositionLogprobs[] }
  | {
      readonly type: "token";
      readonly id: RequestId;
      readonly token: number;
      readonly at: Micros;
      readonly logprobs?: PositionLogprobs;
    }
  /** It made the KV cache's memory grow, or be refused, other than by its admission. */
  | { readonly type: "cache_growth"; readonly id: RequestId; readonly growth: CacheGrowth }
  /** It gave up its cache to older requests and waits again; `admitted` and `prefilled` follow once more. */
  | { readonly type: "preempted"; readonly id: RequestId; readonly at: Micros; readonly forward?: ForwardStats }
  | {
      readonly type: "ended";
      readonly id: RequestId;
      readonly outcome: Outcome;
      readonly at: Micros;
      /** What the phase that ends here took: a decode, or a prefill that was torn off. Absent when no step of it ran. */
      readonly forward?: ForwardStats;
      /** Of one that ends in the queue: how long there was no memory for it, though it was its turn. */
      readonly waitMs?: number;
    };

/** The engine's gauges, sent at most a few times a second. */
export interface EngineStats {
  readonly waiting: number;
  readonly running: number;
  readonly kvTokensReserved: number;
  readonly kvTokensTotal: number;
  /** Tokens of ended requests that are kept for reuse. */
  readonly kvTokensKept: number;
  /** Those given up since start, for others to have their room. */
  readonly kvTokensEvicted: number;
  /** Memory that is allocated, and the most there may be. */
  readonly kvBytesAllocated: number;
  readonly kvBytesTotal: number;
  /** Times, since start, that it grew, allocations that failed, and seconds spent in both. */
  readonly kvGrowths: number;
  readonly kvRefusals: number;
  readonly kvGrowthSeconds: number;
  /** Times, since start, that a request gave up its cache to older ones. */
  readonly preemptions: number;
  /** What a decode step of the requests that run now should take, in milliseconds; 0 while unknown. */
  readonly expectedStepMs: number;
  /** Device seconds since start, spent in steps and idle. */
  readonly busySeconds: number;
  readonly idleSeconds: number;
  readonly steps: number;
}

export type EngineEvent =
  | { readonly type: "loading"; readonly phase: LoadPhaseName }
  | {
      readonly type: "ready";
      readonly model: ModelDescription;
      readonly device: DeviceChoice;
      readonly load: LoadTimeline;
    }
  | { readonly type: "load_failed"; readonly error: WireError; readonly load: LoadTimeline }
  /** What was done there since `ready` is done no longer. */
  | { readonly type: "device"; readonly device: DeviceChoice }
  /** The process ends next, since its device is lost to it. */
  | { readonly type: "lost"; readonly error: WireError }
  | { readonly type: "stats"; readonly stats: EngineStats }
  /** A step is over in which there were requests that asked to have it recorded; comes before what it brought them. */
  | { readonly type: "step"; readonly step: StepStats }
  | RequestEvent;
