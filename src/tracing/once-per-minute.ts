const MINUTE_MS = 60_000;

/** Keeps a log line that could come thousands of times from coming more than once a minute. */
export class OncePerMinute {
  #last = Number.NEGATIVE_INFINITY;

  /** True when the line is due; the next one is not before a minute is over. @param now milliseconds of a steady clock */
  take(now: number): boolean {
    if (now - this.#last < MINUTE_MS) return false;
    this.#last = now;
    return true;
  }
}
