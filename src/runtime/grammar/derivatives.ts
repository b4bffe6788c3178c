import { type ByteSet, byteRange, byteSet, representatives } from "./byte-set.js";
import type { Expr, Expressions } from "./expression.js";

/** A grammar whose automaton is too large to be built while others wait. */
export class TooComplex extends Error {}

/** States that one search for a way to an end may visit. */
const SEARCH_STATES = 20_000;

/**
 * The automaton of an expression, built as it is walked: the state after a byte is the expression of what may follow.
 * No state is a dead end: from each one some string leads to an end.
 */
export class Derivatives {
  /** Derivatives that may still be made before `TooComplex` is thrown. */
  budget = Number.POSITIVE_INFINITY;
  /** Intersections known to hold something, or nothing. */
  readonly #alive = new Map<Expr, boolean>();
  /** Bytes that are enough to try in an intersection, and in all that follows from it. */
  readonly #bytes = new Map<Expr, readonly number[]>();

  constructor(readonly exprs: Expressions) {}

  /** What may follow `byte` in a string of `expr`; `never` where the byte cannot come next. */
  step(expr: Expr, byte: number): Expr {
    const { node } = expr;
    if (node.kind === "seq" && node.head.node.kind === "bytes") {
      return node.head.node.set.table[byte] === 1 ? node.tail : this.exprs.never;
    }
    expr.next ??= new Array<Expr | undefined>(256).fill(undefined);
    const known = expr.next[byte];
    if (known !== undefined) return known;
    if (--this.budget < 0) throw new TooComplex();
    const next = this.#derive(expr, byte);
    expr.next[byte] = next;
    return next;
  }

  /** The state after all of `bytes`. */
  run(expr: Expr, bytes: Uint8Array): Expr {
    let state = expr;
    for (const byte of bytes) state = this.step(state, byte);
    return state;
  }

  accepts(expr: Expr, text: string): boolean {
    return this.run(expr, Buffer.from(text, "utf8")).nullable;
  }

  /** What belongs to all of `parts`; `never` when nothing does. */
  and(...parts: readonly Expr[]): Expr {
    const expr = this.exprs.and(...parts);
    return expr.node.kind === "and" && !this.#isAlive(expr) ? this.exprs.never : expr;
  }

  #derive(expr: Expr, byte: number): Expr {
    const { exprs } = this;
    const { node } = expr;
    switch (node.kind) {
      case "never":
      case "empty":
        return exprs.never;
      case "any":
        return expr;
      case "bytes":
        return node.set.table[byte] === 1 ? exprs.empty : exprs.never;
      case "seq": {
        const first = exprs.seq(this.step(node.head, byte), node.tail);
        return node.head.nullable ? exprs.alt(first, this.step(node.tail, byte)) : first;
      }
      case "alt":
        return exprs.alt(...node.branches.map((branch) => this.step(branch, byte)));
      case "and":
        return this.and(...node.parts.map((part) => this.step(part, byte)));
      case "not":
        return exprs.not(this.step(node.inner, byte));
      case "repeat": {
        const rest = exprs.repeat(node.inner, Math.max(node.min - 1, 0), node.max - 1);
        return exprs.seq(this.step(node.inner, byte), rest);
      }
      case "rule":
        if (node.rule.body === undefined) throw new Error(`The rule ${node.rule.name} has no body`);
        return this.step(node.rule.body, byte);
      case "multiple":
        if (byte < 0x30 || byte > 0x39) return exprs.never;
        return exprs.multiple(node.of, (node.remainder * 10 + byte - 0x30) % node.of);
    }
  }

  /** Depth first; all states on the way to an end are alive, and where no way was found all visited ones are dead. */
  #isAlive(start: Expr): boolean {
    const known = this.#alive.get(start);
    if (known !== undefined) return known;
    const bytes = this.#bytes.get(start) ?? bytesToTry(start);
    const cameFrom = new Map<Expr, Expr | undefined>([[start, undefined]]);
    const open = [start];
    for (let state = open.pop(); state !== undefined; state = open.pop()) {
      if (state.nullable || this.#alive.get(state) === true) {
        for (let on: Expr | undefined = state; on !== undefined; on = cameFrom.get(on)) this.#alive.set(on, true);
        return true;
      }
      if (cameFrom.size > SEARCH_STATES) throw new TooComplex();
      for (const byte of bytes) {
        const next = this.#unchecked(state, byte);
        this.#bytes.set(next, bytes);
        if (next === this.exprs.never || this.#alive.get(next) === false || cameFrom.has(next)) continue;
        cameFrom.set(next, state);
        open.push(next);
      }
    }
    for (const dead of cameFrom.keys()) this.#alive.set(dead, false);
    return false;
  }

  /** As `step`, without asking whether the intersection that comes of it holds anything. */
  #unchecked(expr: Expr, byte: number): Expr {
    if (expr.node.kind !== "and") return this.step(expr, byte);
    if (--this.budget < 0) throw new TooComplex();
    return this.exprs.and(...expr.node.parts.map((part) => this.step(part, byte)));
  }
}

const DIGITS = Array.from({ length: 10 }, (_, digit) => byteSet(byteRange(0x30 + digit)));

/** Bytes that are enough to try in the expression and in all that follows from it. */
export const bytesToTry = (expr: Expr): readonly number[] => representatives(byteSetsOf(expr));

/** The sets that the expression tells bytes apart by. */
function byteSetsOf(start: Expr): ReadonlySet<ByteSet> {
  const sets = new Set<ByteSet>();
  const seen = new Set<Expr>();
  const open = [start];
  for (let expr = open.pop(); expr !== undefined; expr = open.pop()) {
    if (seen.has(expr)) continue;
    seen.add(expr);
    const { node } = expr;
    if (node.kind === "bytes") sets.add(node.set);
    else if (node.kind === "seq") open.push(node.head, node.tail);
    else if (node.kind === "alt") open.push(...node.branches);
    else if (node.kind === "and") open.push(...node.parts);
    else if (node.kind === "not" || node.kind === "repeat") open.push(node.inner);
    else if (node.kind === "rule" && node.rule.body !== undefined) open.push(node.rule.body);
    else if (node.kind === "multiple") for (const digit of DIGITS) sets.add(digit);
  }
  return sets;
}
