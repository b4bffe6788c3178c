/** Microseconds of the host's monotonic clock, which all processes of one host share. */
export type Micros = number;

/** Reads the monotonic clock (`process.hrtime`, CLOCK_MONOTONIC) in microseconds. */
export function monotonicMicros(): Micros {
  const [seconds, nanos] = process.hrtime();
  return seconds * 1e6 + nanos / 1e3;
}
