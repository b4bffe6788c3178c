/** When requests of an open loop are meant to be sent: milliseconds from the beginning, in order. */
import { gamma, type Random } from "./random.js";

/** Requests a second; with `from`, rising or falling evenly from there to `to` over `overMs` milliseconds. */
export interface Rate {
  readonly from?: number;
  readonly to: number;
  readonly overMs?: number;
}

/** Evenly spaced, or with gaps of a gamma distribution: shape 1 is a Poisson process, smaller has more bursts. */
export type Spacing = { readonly kind: "constant" } | { readonly kind: "gamma"; readonly shape: number };

/**
 * Endless arrivals. A process of one arrival a second is stretched by the inverse of the rate's integral, so that a ramp
 * keeps the spacing's character.
 */
export function* arrivals(rate: Rate, spacing: Spacing, random: Random): Generator<number> {
  for (let count = 0; ; ) {
    yield timeOf(count, rate);
    count += spacing.kind === "constant" ? 1 : gamma(spacing.shape, random);
  }
}

/** The time by which `count` requests are due. */
function timeOf(count: number, { from, to, overMs = 0 }: Rate): number {
  if (from === undefined || overMs === 0) return (count / to) * 1e3;
  const seconds = overMs / 1e3;
  const whole = ((from + to) / 2) * seconds;
  // After the ramp its last rate holds.
  if (count >= whole) return overMs + ((count - whole) / to) * 1e3;
  const slope = (to - from) / seconds;
  // count = from t + slope t² / 2, in the form that also holds where the slope is 0.
  return ((2 * count) / (from + Math.sqrt(from * from + 2 * slope * count))) * 1e3;
}
