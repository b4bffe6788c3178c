import { number } from "../format.js";

/** From values to pixels, with the values that an axis names. */
export interface Scale {
  at(value: number): number;
  readonly ticks: readonly number[];
}

type Range = readonly [from: number, to: number];

/** Even steps of 1, 2 or 5 times a power of ten, about `wanted` of them, within the range. */
export function evenTicks([from, to]: Range, wanted: number): number[] {
  const rough = Math.max((to - from) / wanted, Number.MIN_VALUE);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => (first + index) * step);
}

/** The domain is widened to whole steps, so that the last tick closes the axis. */
export function linear(domain: Range, range: Range, wanted = 5): Scale {
  const to = domain[1] > domain[0] ? domain[1] : domain[0] + 1;
  const [, step = to] = evenTicks([0, to - domain[0]], wanted);
  const end = Math.ceil(to / step - 1e-9) * step;
  const at = (value: number): number => range[0] + ((value - domain[0]) / (end - domain[0])) * (range[1] - range[0]);
  return { at, ticks: evenTicks([domain[0], end], wanted) };
}

/** Values must be above 0; ticks are 1, 2 and 5 times powers of ten, or the powers alone over many decades. */
export function logarithmic(domain: Range, range: Range): Scale {
  const low = Math.log10(domain[0]);
  const high = Math.max(Math.log10(domain[1]), low + 0.1);
  const at = (value: number): number =>
    range[0] + ((Math.log10(Math.max(value, domain[0])) - low) / (high - low)) * (range[1] - range[0]);
  const factors = high - low > 2.5 ? [1] : [1, 2, 5];
  const powers = Array.from({ length: Math.ceil(high) - Math.floor(low) + 1 }, (_, i) => Math.floor(low) + i);
  const ticks = powers
    .flatMap((power) => factors.map((factor) => factor * 10 ** power))
    .filter((tick) => tick >= domain[0] * 0.999 && tick <= domain[1] * 1.001);
  return { at, ticks };
}

export const tickText = (tick: number): string => number(tick);
