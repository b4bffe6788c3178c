import type { WireError } from "../errors.js";
import type { Micros } from "./clock.js";
import type { DeviceChoice } from "./device.js";
import type { RequestId } from "./request.js";
import type { ForwardStats } from "./timings.js";

/** One run of an engine process, from `ready` to its end. */
export interface EngineRun {
  /** 32 random lower-case hex digits. */
  readonly id: string;
  readonly model: string;
  readonly device: DeviceChoice;
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
