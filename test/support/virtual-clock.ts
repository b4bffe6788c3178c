import type { BenchClock } from "../../src/bench/load/clock.js";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Time that passes only when all wait for it. */
export class VirtualClock implements BenchClock {
  #now = 0;
  readonly #sleepers: { readonly at: number; readonly wake: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  until(at: number, signal?: AbortSignal): Promise<void> {
    if (at <= this.#now || signal?.aborted === true) return Promise.resolve();
    return new Promise((wake) => {
      this.#sleepers.push({ at, wake });
      signal?.addEventListener("abort", () => wake());
    });
  }

  /** Lets time pass without anybody being woken: the process was held up. */
  stall(ms: number): void {
    this.#now += ms;
  }

  /** Plays until `work` is done, going from one sleeper's time to the next. */
  async play<T>(work: Promise<T>): Promise<T> {
    let done = false;
    const finished = work.finally(() => {
      done = true;
    });
    finished.catch(() => {});
    for (;;) {
      await turn();
      if (done) return finished;
      this.#sleepers.sort((a, b) => a.at - b.at);
      const next = this.#sleepers.shift();
      if (next === undefined) continue;
      this.#now = Math.max(this.#now, next.at);
      next.wake();
    }
  }
}
