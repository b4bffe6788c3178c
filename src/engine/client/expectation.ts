import type { Timers } from "../timers.js";

/** Something that is waited for, one thing at a time, by looking again whenever it may have come. */
export class Expectation {
  #look: (() => void) | undefined;

  constructor(private readonly timers: Timers) {}

  /** It may have come. */
  check(): void {
    this.#look?.();
  }

  /** Settles when `done`, or after `ms`. */
  async until(done: () => boolean, ms?: number): Promise<void> {
    if (done()) return;
    await new Promise<void>((resolve) => {
      const stopTimer = ms === undefined ? undefined : this.timers.after(ms, resolve);
      this.#look = () => {
        if (!done()) return;
        stopTimer?.();
        resolve();
      };
    });
    this.#look = undefined;
  }
}
