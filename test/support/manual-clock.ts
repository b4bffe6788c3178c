import type { Clock } from "../../src/tracing/clock.js";

/** Both clocks of a span, moved by hand, in microseconds. */
export class ManualClock implements Clock {
  #now = 1_000_000;

  advance(micros: number): void {
    this.#now += micros;
  }

  monotonic(): number {
    return this.#now;
  }

  wall(): number {
    return 1_800_000_000_000_000 + this.#now;
  }
}
