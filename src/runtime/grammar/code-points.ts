import { byteRange } from "./byte-set.js";
import type { Expr, Expressions } from "./expression.js";

export type CodePointRange = readonly [first: number, last: number];

export const LAST_CODE_POINT = 0x10ffff;

/** A set of code points: disjoint ranges, ascending. */
export class CodePoints {
  readonly ranges: readonly CodePointRange[];

  constructor(ranges: readonly CodePointRange[]) {
    const sorted = [...ranges].sort((a, b) => a[0] - b[0]);
    const merged: [number, number][] = [];
    for (const [first, last] of sorted) {
      const previous = merged.at(-1);
      if (previous !== undefined && first <= previous[1] + 1) previous[1] = Math.max(previous[1], last);
      else merged.push([first, last]);
    }
    this.ranges = merged;
  }

  static of(...characters: readonly string[]): CodePoints {
    return new CodePoints(
      characters.flatMap((text) => [...text].map((c) => [c.codePointAt(0) ?? 0, c.codePointAt(0) ?? 0] as const)),
    );
  }

  union(other: CodePoints): CodePoints {
    return new CodePoints([...this.ranges, ...other.ranges]);
  }

  complement(): CodePoints {
    const gaps: CodePointRange[] = [];
    let next = 0;
    for (const [first, last] of this.ranges) {
      if (first > next) gaps.push([next, first - 1]);
      next = last + 1;
    }
    if (next <= LAST_CODE_POINT) gaps.push([next, LAST_CODE_POINT]);
    return new CodePoints(gaps);
  }

  intersect(other: CodePoints): CodePoints {
    return this.complement().union(other.complement()).complement();
  }
}

/** Where the number of bytes of a code point in UTF-8 changes (RFC 3629), surrogates left out. */
const UTF8_LENGTHS: readonly CodePointRange[] = [
  [0, 0x7f],
  [0x80, 0x7ff],
  [0x800, 0xd7ff],
  [0xe000, 0xffff],
  [0x10000, LAST_CODE_POINT],
];

/** One code point of the set, in UTF-8. */
export function utf8(exprs: Expressions, points: CodePoints): Expr {
  const options: Expr[] = [];
  for (const [low, high] of UTF8_LENGTHS) {
    for (const [first, last] of points.ranges) {
      if (last >= low && first <= high) {
        options.push(utf8Range(exprs, bytesOf(Math.max(first, low)), bytesOf(Math.min(last, high))));
      }
    }
  }
  return exprs.alt(...options);
}

/** The sequences from `first` to `last`, which have the same number of bytes. */
function utf8Range(exprs: Expressions, first: readonly number[], last: readonly number[]): Expr {
  const [low = 0, ...lowRest] = first;
  const [high = 0, ...highRest] = last;
  if (lowRest.length === 0) return exprs.bytes(byteRange(low, high));
  const at = (byte: number, from: readonly number[], to: readonly number[]): Expr =>
    exprs.seq(exprs.bytes(byteRange(byte)), utf8Range(exprs, from, to));
  if (low === high) return at(low, lowRest, highRest);
  const least = lowRest.map(() => 0x80);
  const most = lowRest.map(() => 0xbf);
  const between =
    high - low > 1 ? exprs.seq(exprs.bytes(byteRange(low + 1, high - 1)), utf8Range(exprs, least, most)) : exprs.never;
  return exprs.alt(at(low, lowRest, most), between, at(high, least, highRest));
}

function bytesOf(codePoint: number): readonly number[] {
  return [...Buffer.from(String.fromCodePoint(codePoint), "utf8")];
}
