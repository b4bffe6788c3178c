const FIRST_MS = 500;
const LONGEST_MS = 30_000;
/** An engine that was ready this long is healthy again. */
const HEALTHY_MS = 60_000;

/** How long to wait before the next restart: half a second, doubling to 30, from the start again after a healthy minute. */
export class Backoff {
  #next = FIRST_MS;

  /** @param readyMs how long the engine that just died was ready; 0 if it never was */
  delayAfter(readyMs: number): number {
    if (readyMs >= HEALTHY_MS) this.#next = FIRST_MS;
    const delay = this.#next;
    this.#next = Math.min(2 * delay, LONGEST_MS);
    return delay;
  }
}
