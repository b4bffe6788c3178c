import type { Micros } from "./clock.js";

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
