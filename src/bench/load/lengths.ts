/** Lengths drawn from a distribution, as `--prompt-tokens` and `--max-tokens` take them. */
import { normal, type Random } from "./random.js";

export type Lengths =
  | { readonly kind: "fixed"; readonly value: number }
  | { readonly kind: "uniform"; readonly low: number; readonly high: number }
  | { readonly kind: "normal"; readonly mean: number; readonly deviation: number }
  /** `sigma` is the deviation of the logarithm. */
  | { readonly kind: "lognormal"; readonly median: number; readonly sigma: number };

export const LENGTHS_HELP =
  "128, uniform:64,256 (from, to), normal:128,32 (mean, deviation) or lognormal:128,0.5 (median, sigma)";

/** Reads what `LENGTHS_HELP` tells; undefined for anything else. */
export function parseLengths(text: string): Lengths | undefined {
  const [, kind, first = "", second] =
    /^(?:(uniform|normal|lognormal):)?(\d+)(?:,(\d+\.?\d*))?$/.exec(text.trim()) ?? [];
  const [a, b] = [Number(first), Number(second)];
  if (first === "" || a < 1 || (kind === undefined) !== (second === undefined)) return undefined;
  switch (kind) {
    case "uniform":
      return Number.isInteger(b) && b >= a ? { kind, low: a, high: b } : undefined;
    case "normal":
      return { kind, mean: a, deviation: b };
    case "lognormal":
      return { kind, median: a, sigma: b };
    default:
      return { kind: "fixed", value: a };
  }
}

/** A whole number of at least 1. */
export function drawLength(lengths: Lengths, random: Random): number {
  switch (lengths.kind) {
    case "fixed":
      return lengths.value;
    case "uniform":
      return lengths.low + Math.floor(random() * (lengths.high - lengths.low + 1));
    case "normal":
      return atLeastOne(lengths.mean + lengths.deviation * normal(random));
    case "lognormal":
      return atLeastOne(lengths.median * Math.exp(lengths.sigma * normal(random)));
  }
}

const atLeastOne = (length: number): number => Math.max(1, Math.round(length));
