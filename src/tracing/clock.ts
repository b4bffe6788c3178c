import type { HrTime } from "@opentelemetry/api";
import { type Micros, monotonicMicros } from "../protocol.js";

/** The two clocks a span needs, injectable for tests. Both in microseconds. */
export interface Clock {
  /** Microseconds since the epoch. */
  wall(): number;
  monotonic(): Micros;
}

/** Past this, the wall clock was stepped since the process started and the high-resolution reading is stale. */
const STEP_MICROS = 2_000;

/** Read once: it does not change, and each reading takes Node as long as one of a clock. */
const { timeOrigin } = performance;

/**
 * Microseconds since the epoch. `Date.now()` alone is cut to milliseconds, which would put a child up to a
 * millisecond before the caller's span; `performance` alone does not follow steps of the wall clock.
 */
export function wallMicros(): number {
  const coarse = Date.now() * 1e3;
  const fine = (timeOrigin + performance.now()) * 1e3;
  const lead = fine - coarse;
  return lead > -STEP_MICROS && lead < STEP_MICROS ? fine : coarse;
}

export const systemClock: Clock = { wall: wallMicros, monotonic: monotonicMicros };

/** Turns monotonic times into wall-clock ones. Fixed once a trace, so that its spans agree with each other. */
export class WallAnchor {
  readonly #offset: number;

  constructor(clock: Clock) {
    this.#offset = clock.wall() - clock.monotonic();
  }

  /** Whole microseconds since the epoch, as OpenTelemetry's [seconds, nanoseconds]. */
  hrTime(at: Micros): HrTime {
    const micros = Math.round(this.#offset + at);
    const seconds = Math.floor(micros / 1e6);
    return [seconds, (micros - seconds * 1e6) * 1e3];
  }
}
