import type { Micros } from "../protocol.js";

/** Completions that are looked back on. */
const WINDOW = 32;
/** Nothing is promised beyond a minute, and what ended longer ago says nothing about now. */
const MOST_SECONDS = 60;

/** How fast the engine gets through its requests, measured by those it ended last. */
export class CompletionRate {
  readonly #ends: Micros[] = [];

  ended(at: Micros): void {
    this.#ends.push(at);
    if (this.#ends.length > WINDOW) this.#ends.shift();
  }

  /**
   * Whole seconds until `count` more requests will have ended, at least 1. Where none has ended lately there is
   * nothing to go by but how long they have been at it, `busySince`.
   */
  secondsUntil(count: number, now: Micros, busySince: Micros): number {
    const recent = this.#ends.filter((end) => now - end < MOST_SECONDS * 1e6);
    const since = Math.min(recent[0] ?? busySince, now);
    // The first end opens the interval that the others are counted in; the interval goes on until now.
    const seconds = (((now - since) / 1e6) * count) / Math.max(1, recent.length - 1);
    return Math.min(MOST_SECONDS, Math.max(1, Math.ceil(seconds)));
  }
}
