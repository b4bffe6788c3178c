import { CodePoints } from "./code-points.js";
import type { Expr } from "./expression.js";
import type { JsonLanguage } from "./json-language.js";
import { CHARACTER_ESCAPES, CLASS_ESCAPES, NOT_LINE_END } from "./pattern-classes.js";

/** A regular expression that is broken, or says something that no automaton can check; `message` tells which part. */
export class PatternError extends Error {}

/** Repetitions that count higher are refused: each count is a state. */
const MOST_REPEATS = 10_000;

/**
 * The strings that a regular expression matches somewhere (ECMA-262 with the `u` flag, as JSON Schema asks for), as they
 * stand in JSON between the quotes. `^` and `$` may stand at the ends of a top-level alternative. Throws PatternError for look-around,
 * back references, `\b` and `\p`.
 */
export function patternLanguage(json: JsonLanguage, pattern: string): Expr {
  try {
    new RegExp(pattern, "u");
  } catch {
    throw new PatternError("is not a regular expression of ECMA-262 (with the u flag)");
  }
  return new PatternParser(json, pattern).parse();
}

class PatternParser {
  readonly #characters: readonly string[];
  #at = 0;

  constructor(
    private readonly json: JsonLanguage,
    pattern: string,
  ) {
    this.#characters = [...pattern];
  }

  /** The pattern is known to be well-formed. */
  parse(): Expr {
    const { exprs } = this.json;
    const anything = exprs.repeat(this.json.canonicalCharacter);
    const options: Expr[] = [];
    do {
      const start = this.#take("^") ? exprs.empty : anything;
      const body = this.#sequence();
      const end = this.#take("$") ? exprs.empty : anything;
      options.push(exprs.all(start, body, end));
    } while (this.#take("|"));
    if (this.#at < this.#characters.length) throw this.#unsupported();
    return exprs.alt(...options);
  }

  #alternatives(): Expr {
    const options = [this.#sequence()];
    while (this.#take("|")) options.push(this.#sequence());
    return this.json.exprs.alt(...options);
  }

  #sequence(): Expr {
    const parts: Expr[] = [];
    while (this.#at < this.#characters.length && !"|)$".includes(this.#peek())) parts.push(this.#term());
    return this.json.exprs.all(...parts);
  }

  #term(): Expr {
    const atom = this.#atom();
    const [min, max] = this.#quantifier();
    if (min > MOST_REPEATS || (max !== Number.POSITIVE_INFINITY && max > MOST_REPEATS)) {
      throw new PatternError(`repeats something more than ${MOST_REPEATS} times`);
    }
    return this.json.exprs.repeat(atom, min, max);
  }

  #quantifier(): readonly [number, number] {
    const braces = /^\{(\d+)(,?)(\d*)\}/.exec(this.#characters.slice(this.#at, this.#at + 40).join(""));
    let counts: readonly [number, number] = [1, 1];
    if (this.#take("*")) counts = [0, Number.POSITIVE_INFINITY];
    else if (this.#take("+")) counts = [1, Number.POSITIVE_INFINITY];
    else if (this.#take("?")) counts = [0, 1];
    else if (braces !== null) {
      this.#at += braces[0].length;
      const min = Number(braces[1]);
      counts = [min, braces[2] === "" ? min : braces[3] === "" ? Number.POSITIVE_INFINITY : Number(braces[3])];
    } else return counts;
    // Lazy or greedy: the same strings match.
    this.#take("?");
    return counts;
  }

  #atom(): Expr {
    if (this.#take("(")) return this.#group();
    if (this.#take("[")) return this.json.canonical(this.#class());
    if (this.#take(".")) return this.json.canonical(NOT_LINE_END);
    if (this.#peek() === "^") throw this.#unsupported();
    return this.json.canonical(this.#character());
  }

  #group(): Expr {
    if (this.#take("?")) {
      const start = this.#at;
      const named = this.#take("<") && this.#peek() !== "=" && this.#peek() !== "!";
      if (named) while (!this.#take(">")) this.#at++;
      else {
        this.#at = start;
        if (!this.#take(":")) throw new PatternError("looks ahead or behind, which cannot be enforced");
      }
    }
    const inner = this.#alternatives();
    if (!this.#take(")")) throw this.#unsupported();
    return inner;
  }

  /** After `[`, through `]`. */
  #class(): CodePoints {
    const negated = this.#take("^");
    let set = new CodePoints([]);
    while (!this.#take("]")) {
      const low = this.#character("-");
      const start = this.#at;
      if (this.#take("-") && this.#peek() !== "]") {
        const [first] = low.ranges[0] ?? [0];
        const [last] = this.#character("-").ranges[0] ?? [0];
        set = set.union(new CodePoints([[first, last]]));
      } else {
        this.#at = start;
        set = set.union(low);
      }
    }
    return negated ? set.complement() : set;
  }

  /** One character or escape; `extra` may be escaped here, too. */
  #character(extra = ""): CodePoints {
    const character = this.#next();
    if (character !== "\\") return CodePoints.of(character);
    const letter = this.#next();
    const known = CLASS_ESCAPES[letter];
    if (known !== undefined) return known;
    const code = CHARACTER_ESCAPES[letter] ?? this.#numericEscape(letter);
    if (code !== undefined) return new CodePoints([[code, code]]);
    if ("^$\\.*+?()[]{}|/".includes(letter) || letter === extra) return CodePoints.of(letter);
    throw new PatternError(`holds \\${letter}, which cannot be enforced`);
  }

  #numericEscape(letter: string): number | undefined {
    const rest = this.#characters.slice(this.#at, this.#at + 12).join("");
    const digits = { x: /^([\da-f]{2})/i, u: /^(?:\{([\da-f]+)\}|([\da-f]{4}))/i }[letter]?.exec(rest);
    if (digits == null) return undefined;
    this.#at += digits[0].length;
    const code = Number.parseInt(digits[1] ?? digits[2] ?? "", 16);
    const low = /^\\u(d[c-f][\da-f]{2})/i.exec(this.#characters.slice(this.#at, this.#at + 6).join(""))?.[1];
    if (code < 0xd800 || code > 0xdbff || low === undefined) return code;
    this.#at += 6;
    return 0x10000 + ((code - 0xd800) << 10) + (Number.parseInt(low, 16) - 0xdc00);
  }

  #peek(): string {
    return this.#characters[this.#at] ?? "";
  }

  #next(): string {
    return this.#characters[this.#at++] ?? "";
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at++;
    return true;
  }

  #unsupported(): PatternError {
    return new PatternError("has ^ or $ elsewhere than at the ends of the whole or of a top-level alternative");
  }
}
