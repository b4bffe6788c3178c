/** How much a load may send: so many requests, or until a time. */
export type Limit =
  | { readonly kind: "requests"; readonly count: number }
  | { readonly kind: "duration"; readonly ms: number };

/** One repeat's allowance. */
export class Budget {
  #taken = 0;

  constructor(
    private readonly limit: Limit,
    private readonly start: number,
    private readonly signal: AbortSignal,
  ) {}

  /** Whether one more request may be sent that is due at `at`; if so, it counts. */
  take(at: number): boolean {
    if (this.signal.aborted || this.#spent(at)) return false;
    this.#taken += 1;
    return true;
  }

  #spent(at: number): boolean {
    const { limit } = this;
    return limit.kind === "requests" ? this.#taken >= limit.count : at - this.start >= limit.ms;
  }
}
