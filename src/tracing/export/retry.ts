export interface RetryLimits {
  /** POSTs of the same spans before they are given up. */
  readonly attempts: number;
  /** Longest pause before the second attempt; doubles with each further one, up to `retryMaxMs`. */
  readonly retryMs: number;
  readonly retryMaxMs: number;
  /** The most of a `Retry-After` that is waited for. */
  readonly retryAfterMaxMs: number;
}

/**
 * The pause before the attempt that follows `attempt` (from 1): any time up to a bound that doubles, so that clients that
 * failed together do not come back together (full jitter: M. Brooker, "Exponential Backoff And Jitter", 2015), and no
 * earlier than the collector asked. @param random 0 to 1
 */
export function backoffMs(attempt: number, retryAfterMs: number, limits: RetryLimits, random: number): number {
  const bound = Math.min(limits.retryMaxMs, limits.retryMs * 2 ** (attempt - 1));
  return Math.min(limits.retryAfterMaxMs, retryAfterMs) + random * bound;
}

/** Milliseconds from `now` (of the Unix epoch) that a `Retry-After` asks for (RFC 9110, 10.2.3); 0 for none and for nonsense. */
export function retryAfterMs(header: string | undefined, now: number): number {
  if (header === undefined) return 0;
  if (/^\d+$/.test(header)) return Number(header) * 1_000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? 0 : Math.max(0, at - now);
}
