/** Which traces are kept because of how they ended, although the decision at their start was no. */
export interface TailPolicy {
  /** Those that failed by our fault, or that we cancelled. */
  readonly failed: boolean;
  /** Milliseconds to the first token; longer ones are kept. */
  readonly slowTtftMs?: number;
  /** Milliseconds of the whole request. */
  readonly slowTotalMs?: number;
  /** Longest life of a request in milliseconds, for which the export thread holds its spans. */
  readonly longestMs: number;
}

/** `sampling.reason` of a trace that the tail kept. */
export type KeepReason = "error" | "cancelled" | "slow_ttft" | "slow_total";

/** How a request went, so far or to its end. */
export interface RequestCourse {
  /** Its trace has an error; what the caller did wrong (4xx) is none for this purpose. */
  readonly failed: boolean;
  readonly cancelled: boolean;
  /** Milliseconds; undefined for a request that was not to generate. One without a first token has waited until its end. */
  readonly ttftMs?: number | undefined;
  readonly totalMs: number;
}

/** True when some ending is a reason to keep a trace; otherwise undecided traces need no recording. */
export function keepsAnyEnding(policy: TailPolicy): boolean {
  return policy.failed || policy.slowTtftMs !== undefined || policy.slowTotalMs !== undefined;
}

export function reasonToKeep(policy: TailPolicy, course: RequestCourse): KeepReason | undefined {
  const { slowTtftMs = Number.POSITIVE_INFINITY, slowTotalMs = Number.POSITIVE_INFINITY } = policy;
  if (policy.failed && course.failed) return course.cancelled ? "cancelled" : "error";
  if ((course.ttftMs ?? 0) > slowTtftMs) return "slow_ttft";
  return course.totalMs > slowTotalMs ? "slow_total" : undefined;
}
