import type { WireError } from "../errors.js";
import type { Micros } from "./clock.js";
import type { PositionLogprobs, RequestId } from "./request.js";
import type { EngineRun } from "./run.js";
import type { AllocationStats, CacheGrowth, ForwardStats, QueueStats } from "./timings.js";

export type CancelCause = "client_gone" | "timeout" | "drain";

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
