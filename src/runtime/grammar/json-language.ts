import { byteRange } from "./byte-set.js";
import { CodePoints, LAST_CODE_POINT, utf8 } from "./code-points.js";
import type { Expr, Expressions, Rule } from "./expression.js";

/** Digits of a whole number, and after the point: all of them survive a double (IEEE 754), so limits hold after parsing. */
export const MOST_DIGITS = 15;

const CONTROLS = new CodePoints([[0, 0x1f]]);
const QUOTE = CodePoints.of('"');
const BACKSLASH = CodePoints.of("\\");
/** No code point of a text (Unicode, D91). */
const SURROGATES = new CodePoints([[0xd800, 0xdfff]]);

/**
 * The pieces of JSON (RFC 8259), and any JSON at all. Space between tokens is what printers write: none, one blank, or
 * a new line with an indentation; a model that is free to write more may write nothing else.
 */
export class JsonLanguage {
  readonly space: Expr;
  readonly comma: Expr;
  readonly colon: Expr;
  readonly digit: Expr;
  /** One character of a string, written in any way JSON has. */
  readonly character: Expr;
  /** One character of a string as JSON.stringify writes it. */
  readonly canonicalCharacter: Expr;
  readonly string: Expr;
  readonly integer: Expr;
  readonly number: Expr;
  readonly value: Expr;
  readonly object: Expr;

  constructor(readonly exprs: Expressions) {
    const { exprs: e } = this;
    const byte = (text: string): Expr => e.literal(text);
    const indent = e.alt(e.repeat(byte(" "), 0, 32), e.repeat(byte("\t"), 0, 8));
    this.space = e.alt(e.empty, byte(" "), e.seq(byte("\n"), indent));
    this.comma = e.seq(byte(","), this.space);
    this.colon = e.seq(byte(":"), e.optional(byte(" ")));
    this.digit = e.bytes(byteRange(0x30, 0x39));
    this.character = e.alt(this.#plain(everyCodePoint), this.#escape());
    this.canonicalCharacter = this.canonical(everyCodePoint);
    this.string = this.quoted(e.repeat(this.character));
    const sign = e.optional(byte("-"));
    this.integer = e.seq(sign, this.#whole());
    const fraction = e.seq(byte("."), e.repeat(this.digit, 1, MOST_DIGITS));
    const exponent = e.all(
      e.bytes(byteRange(0x65) | byteRange(0x45)),
      e.optional(e.bytes(byteRange(0x2b) | byteRange(0x2d))),
      e.repeat(this.digit, 1, 2),
    );
    this.number = e.all(this.integer, e.optional(fraction), e.optional(exponent));
    const any: Rule = { name: "any JSON", body: undefined };
    this.value = e.rule(any);
    this.object = this.objectOf(this.list(this.member(this.string, this.value)));
    const array = this.arrayOf(this.list(this.value));
    any.body = e.alt(this.object, array, this.string, this.number, byte("true"), byte("false"), byte("null"));
  }

  quoted(characters: Expr): Expr {
    return this.exprs.all(this.exprs.literal('"'), characters, this.exprs.literal('"'));
  }

  member(key: Expr, value: Expr): Expr {
    return this.exprs.all(key, this.colon, value);
  }

  /** Any number of items between `min` and `max`, parted by commas. */
  list(item: Expr, min = 0, max = Number.POSITIVE_INFINITY): Expr {
    const { exprs: e } = this;
    if (max === 0) return e.empty;
    const more = e.repeat(e.seq(this.comma, item), Math.max(min - 1, 0), max - 1);
    const some = e.seq(item, more);
    return min === 0 ? e.optional(some) : some;
  }

  objectOf(members: Expr): Expr {
    return this.#enclosed("{", members, "}");
  }

  arrayOf(items: Expr): Expr {
    return this.#enclosed("[", items, "]");
  }

  /** One of these code points inside a string, in the one way that JSON.stringify writes it. */
  canonical(points: CodePoints): Expr {
    const { exprs: e } = this;
    const controls = points
      .intersect(CONTROLS)
      .ranges.flatMap(([first, last]) =>
        Array.from({ length: last - first + 1 }, (_, i) => JSON.stringify(String.fromCharCode(first + i)).slice(1, -1)),
      );
    const has = (set: CodePoints): boolean => points.intersect(set).ranges.length > 0;
    return e.alt(
      this.#plain(points),
      ...controls.map((text) => e.literal(text)),
      has(QUOTE) ? e.literal('\\"') : e.never,
      has(BACKSLASH) ? e.literal("\\\\") : e.never,
    );
  }

  #plain(points: CodePoints): Expr {
    const escaped = CONTROLS.union(QUOTE).union(BACKSLASH).union(SURROGATES);
    return utf8(this.exprs, points.intersect(escaped.complement()));
  }

  /** Surrogates are left out: they would have to come in pairs. */
  #escape(): Expr {
    const { exprs: e } = this;
    const [digits, upper, lower] = [byteRange(0x30, 0x39), byteRange(0x41, 0x46), byteRange(0x61, 0x66)];
    const hex = e.bytes(digits | upper | lower);
    const notD = e.bytes((digits | upper | lower) & ~(byteRange(0x44) | byteRange(0x64)));
    const belowSurrogates = e.seq(e.bytes(byteRange(0x44) | byteRange(0x64)), e.bytes(byteRange(0x30, 0x37)));
    const codeUnit = e.all(e.alt(e.seq(notD, hex), belowSurrogates), hex, hex);
    const short = [...'"\\/bfnrt'].reduce((bits, letter) => bits | byteRange(letter.charCodeAt(0)), 0n);
    return e.seq(e.literal("\\"), e.alt(e.bytes(short), e.seq(e.literal("u"), codeUnit)));
  }

  #whole(): Expr {
    const { exprs: e } = this;
    const positive = e.seq(e.bytes(byteRange(0x31, 0x39)), e.repeat(this.digit, 0, MOST_DIGITS - 1));
    return e.alt(e.literal("0"), positive);
  }

  #enclosed(open: string, inner: Expr, close: string): Expr {
    const { exprs: e } = this;
    const filled = e.all(this.space, inner, this.space);
    return e.all(e.literal(open), inner.nullable ? e.alt(filled, e.empty) : filled, e.literal(close));
  }
}

const everyCodePoint = new CodePoints([[0, LAST_CODE_POINT]]);
