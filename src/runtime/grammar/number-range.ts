import { byteRange } from "./byte-set.js";
import type { Derivatives } from "./derivatives.js";
import type { Expr, Expressions } from "./expression.js";
import { MOST_DIGITS } from "./json-language.js";

export interface NumberLimit {
  readonly value: number;
  /** The value itself is outside. */
  readonly exclusive: boolean;
}

/** A decimal of at least 0: its digits before and after the point, no zeros at either end but `0` itself. */
interface Decimal {
  readonly whole: string;
  readonly fraction: string;
  readonly exclusive: boolean;
}

/**
 * Numbers within limits, written as decimals without exponent: digit by digit, a number is compared with each limit as
 * one compares on paper. At most 15 digits, so that none is rounded onto or across a limit when it is parsed.
 */
export class NumberRange {
  readonly #exprs: Expressions;

  constructor(private readonly derivatives: Derivatives) {
    this.#exprs = derivatives.exprs;
  }

  /** Undefined where a limit is too large or too fine to be written with so many digits. */
  numbers(low: NumberLimit | undefined, high: NumberLimit | undefined): Expr | undefined {
    if ([low, high].some((limit) => limit !== undefined && !isWritable(limit.value))) return undefined;
    const { derivatives } = this;
    const e = this.#exprs;
    const upTo = (limit: NumberLimit | undefined): Expr => (limit === undefined ? e.any : this.#atMost(decimal(limit)));
    const from = (limit: NumberLimit | undefined): Expr =>
      limit === undefined ? e.any : this.#atLeast(decimal(limit));
    const plain = this.#decimals(MOST_DIGITS);
    const positive = (): Expr =>
      derivatives.and(plain, from(low !== undefined && low.value >= 0 ? low : undefined), upTo(high));
    const negative = (): Expr => {
      const least = high !== undefined && (high.value < 0 || (high.value === 0 && high.exclusive)) ? high : undefined;
      return e.seq(e.literal("-"), derivatives.and(plain, from(least), upTo(low)));
    };
    return e.alt(
      high === undefined || high.value > 0 || (high.value === 0 && !high.exclusive) ? positive() : e.never,
      low === undefined || low.value < 0 ? negative() : e.never,
    );
  }

  /** Whole numbers, of either sign, that are multiples of `of`. */
  multiples(of: number): Expr {
    const e = this.#exprs;
    return e.seq(e.optional(e.literal("-")), e.multiple(of));
  }

  #digit(low = 0, high = 9): Expr {
    return low > high ? this.#exprs.never : this.#exprs.bytes(byteRange(0x30 + low, 0x30 + high));
  }

  #decimals(most: number): Expr {
    const e = this.#exprs;
    const whole = e.alt(this.#digit(0, 0), e.seq(this.#digit(1), e.repeat(this.#digit(), 0, most)));
    return e.seq(whole, this.#fraction(e.any, true, most));
  }

  /** A point and digits that fit `tail`, or, if `none`, no point. */
  #fraction(tail: Expr, none: boolean, most: number): Expr {
    const e = this.#exprs;
    const digits = this.derivatives.and(e.repeat(this.#digit(), 1, most), tail);
    return e.alt(none ? e.empty : e.never, most < 1 ? e.never : e.seq(e.literal("."), digits));
  }

  #atLeast({ whole, fraction, exclusive }: Decimal): Expr {
    const e = this.#exprs;
    const places = MOST_DIGITS - whole.length;
    const digits = e.repeat(this.#digit());
    const tail = (at: number): Expr => {
      const digit = fraction[at];
      if (digit === undefined) {
        return exclusive ? e.all(e.repeat(this.#digit(0, 0)), this.#digit(1), digits) : digits;
      }
      return e.alt(e.seq(this.#digit(Number(digit) + 1), digits), e.seq(e.literal(digit), tail(at + 1)));
    };
    const longer = e.seq(this.#digit(1), e.repeat(this.#digit(), whole === "0" ? 1 : whole.length));
    return e.alt(
      e.seq(e.alt(longer, this.#sameLength(whole, "above")), this.#fraction(e.any, true, MOST_DIGITS)),
      e.seq(e.literal(whole), this.#fraction(tail(0), fraction === "" && !exclusive, places)),
    );
  }

  #atMost({ whole, fraction, exclusive }: Decimal): Expr {
    const e = this.#exprs;
    const places = MOST_DIGITS - whole.length;
    const digits = e.repeat(this.#digit());
    const tail = (at: number): Expr => {
      const digit = fraction[at];
      if (digit === undefined) return exclusive ? e.never : e.repeat(this.#digit(0, 0));
      return e.alt(e.empty, e.seq(this.#digit(0, Number(digit) - 1), digits), e.seq(e.literal(digit), tail(at + 1)));
    };
    const shorter =
      whole.length < 2
        ? e.never
        : e.alt(this.#digit(0, 0), e.seq(this.#digit(1), e.repeat(this.#digit(), 0, whole.length - 2)));
    return e.alt(
      e.seq(e.alt(shorter, this.#sameLength(whole, "below")), this.#fraction(e.any, true, places)),
      e.seq(e.literal(whole), this.#fraction(tail(0), fraction !== "" || !exclusive, places)),
    );
  }

  /** Whole numbers with as many digits, above or below. */
  #sameLength(whole: string, side: "above" | "below"): Expr {
    const e = this.#exprs;
    const options = [...whole].map((text, at) => {
      const digit = Number(text);
      const least = at === 0 && whole.length > 1 ? 1 : 0;
      const other = side === "above" ? this.#digit(digit + 1) : this.#digit(least, digit - 1);
      const after = whole.length - at - 1;
      return e.all(e.literal(whole.slice(0, at)), other, e.repeat(this.#digit(), after, after));
    });
    return e.alt(...options);
  }
}

const isWritable = (value: number): boolean =>
  value === 0 || (Math.abs(value) >= 1e-6 && Math.abs(value) <= Number.MAX_SAFE_INTEGER);

function decimal({ value, exclusive }: NumberLimit): Decimal {
  const [whole = "0", fraction = ""] = String(Math.abs(value)).split(".");
  return { whole, fraction, exclusive };
}
