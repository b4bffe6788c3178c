import assert from "node:assert/strict";
import type { Timers } from "../../src/engine/timers.js";

/** Timers that run when the test says so. */
export class ManualTimers implements Timers {
  readonly #timers: { readonly ms: number; readonly run: () => void }[] = [];

  after(ms: number, run: () => void): () => void {
    const timer = { ms, run };
    this.#timers.push(timer);
    return () => this.#remove(timer);
  }

  get pending(): number {
    return this.#timers.length;
  }

  /** Delays of the pending timers, oldest first. */
  get delays(): number[] {
    return this.#timers.map(({ ms }) => ms);
  }

  /** Runs the oldest pending timer. */
  runNext(): void {
    const timer = this.#timers.shift();
    assert.ok(timer !== undefined, "no timer is pending");
    timer.run();
  }

  #remove(timer: { readonly ms: number; readonly run: () => void }): void {
    const index = this.#timers.indexOf(timer);
    if (index >= 0) this.#timers.splice(index, 1);
  }
}
