/** At most so many a second on average; what one second left over may be used in the next. */
export class TokenBucket {
  #tokens: number;
  #at: number;

  /** @param perSecond above 0 @param now milliseconds of a steady clock */
  constructor(
    private readonly perSecond: number,
    private readonly now: () => number,
  ) {
    this.#tokens = this.#most;
    this.#at = now();
  }

  /** A limit below one a second still lets one through at a time. */
  get #most(): number {
    return Math.max(1, this.perSecond);
  }

  take(): boolean {
    const now = this.now();
    this.#tokens = Math.min(this.#most, this.#tokens + ((now - this.#at) / 1e3) * this.perSecond);
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
