import { ALL_BYTES, type ByteSet, byteRange, byteSet } from "./byte-set.js";

/** A named expression that may refer to itself. Its language must not hold the empty string. */
export interface Rule {
  readonly name: string;
  /** Set once, before the first derivative. */
  body: Expr | undefined;
}

export type Node =
  /** Nothing, not even the empty string. */
  | { readonly kind: "never" }
  /** The empty string alone. */
  | { readonly kind: "empty" }
  /** Every string of bytes. */
  | { readonly kind: "any" }
  /** One byte of the set. */
  | { readonly kind: "bytes"; readonly set: ByteSet }
  | { readonly kind: "seq"; readonly head: Expr; readonly tail: Expr }
  | { readonly kind: "alt"; readonly branches: readonly Expr[] }
  | { readonly kind: "and"; readonly parts: readonly Expr[] }
  | { readonly kind: "not"; readonly inner: Expr }
  | { readonly kind: "repeat"; readonly inner: Expr; readonly min: number; readonly max: number }
  | { readonly kind: "rule"; readonly rule: Rule }
  /** Decimal digits whose value, read after a number with this remainder, is a multiple. */
  | { readonly kind: "multiple"; readonly of: number; readonly remainder: number };

/** A language over bytes. Equal expressions of one `Expressions` are one object. */
export class Expr {
  /** The derivative by each byte, as far as anybody asked. */
  next: (Expr | undefined)[] | undefined = undefined;

  constructor(
    readonly id: number,
    readonly node: Node,
    /** The empty string belongs to it. */
    readonly nullable: boolean,
  ) {}
}

/**
 * Makes expressions, simplified as they are made: that is what keeps derivatives (J. Brzozowski, "Derivatives of
 * regular expressions", 1964) finite in number, and a state of the automaton one object.
 */
export class Expressions {
  readonly #known = new Map<string, Expr>();
  readonly #rules = new Map<Rule, Expr>();
  readonly #single: Expr[] = [];
  readonly #sets = new Map<bigint, Expr>();
  readonly never = this.#intern("never", { kind: "never" }, false);
  readonly empty = this.#intern("empty", { kind: "empty" }, true);
  readonly any = this.#intern("any", { kind: "any" }, true);

  /** Expressions made so far. */
  get size(): number {
    return this.#known.size;
  }

  bytes(bits: bigint): Expr {
    if (bits === 0n) return this.never;
    let expr = this.#sets.get(bits);
    if (expr === undefined) {
      expr = this.#intern(`b${bits}`, { kind: "bytes", set: byteSet(bits) }, false);
      this.#sets.set(bits, expr);
    }
    return expr;
  }

  /** Exactly these bytes; text is taken as UTF-8. */
  literal(text: string | Uint8Array): Expr {
    const bytes = typeof text === "string" ? Buffer.from(text, "utf8") : text;
    let expr = this.empty;
    for (let i = bytes.length - 1; i >= 0; i--) expr = this.seq(this.#byte(bytes[i] as number), expr);
    return expr;
  }

  #byte(byte: number): Expr {
    const known = this.#single[byte] ?? this.bytes(byteRange(byte));
    this.#single[byte] = known;
    return known;
  }

  /** One after the other. */
  all(...parts: readonly Expr[]): Expr {
    return parts.reduceRight((tail, head) => this.seq(head, tail), this.empty);
  }

  seq(head: Expr, tail: Expr): Expr {
    if (head === this.never || tail === this.never) return this.never;
    if (head === this.empty) return tail;
    if (tail === this.empty) return head;
    if (head === this.any && tail === this.any) return head;
    if (head.node.kind === "seq") return this.seq(head.node.head, this.seq(head.node.tail, tail));
    return this.#intern(`s${head.id},${tail.id}`, { kind: "seq", head, tail }, head.nullable && tail.nullable);
  }

  alt(...options: readonly Expr[]): Expr {
    const branches = new Set<Expr>();
    let bits = 0n;
    const add = (option: Expr): void => {
      if (option.node.kind === "alt") option.node.branches.forEach(add);
      else if (option.node.kind === "bytes") bits |= option.node.set.bits;
      else if (option !== this.never) branches.add(option);
    };
    options.forEach(add);
    if (branches.has(this.any)) return this.any;
    if (bits !== 0n) branches.add(this.bytes(bits));
    const sorted = [...branches].sort((a, b) => a.id - b.id);
    if (sorted.length < 2) return sorted[0] ?? this.never;
    const nullable = sorted.some((branch) => branch.nullable);
    return this.#intern(`a${sorted.map(({ id }) => id).join(",")}`, { kind: "alt", branches: sorted }, nullable);
  }

  /** What belongs to all of them. May be empty without being `never`: see `Derivatives.and`. */
  and(...all: readonly Expr[]): Expr {
    const parts = new Set<Expr>();
    let bits = ALL_BYTES;
    const add = (part: Expr): void => {
      if (part.node.kind === "and") part.node.parts.forEach(add);
      else if (part.node.kind === "bytes") bits &= part.node.set.bits;
      else if (part !== this.any) parts.add(part);
    };
    all.forEach(add);
    if (bits !== ALL_BYTES || all.some(({ node }) => node.kind === "bytes")) parts.add(this.bytes(bits));
    if (parts.has(this.never)) return this.never;
    const sorted = [...parts].sort((a, b) => a.id - b.id);
    const nullable = sorted.every((part) => part.nullable);
    if (parts.has(this.empty)) return nullable ? this.empty : this.never;
    if (sorted.length < 2) return sorted[0] ?? this.any;
    return this.#intern(`i${sorted.map(({ id }) => id).join(",")}`, { kind: "and", parts: sorted }, nullable);
  }

  not(inner: Expr): Expr {
    if (inner.node.kind === "not") return inner.node.inner;
    if (inner === this.never) return this.any;
    if (inner === this.any) return this.never;
    return this.#intern(`n${inner.id}`, { kind: "not", inner }, !inner.nullable);
  }

  optional(inner: Expr): Expr {
    return this.alt(this.empty, inner);
  }

  repeat(inner: Expr, min = 0, max = Number.POSITIVE_INFINITY): Expr {
    if (max < min) return this.never;
    if (max === 0 || inner === this.empty) return this.empty;
    if (min === 1 && max === 1) return inner;
    if (inner === this.never) return min === 0 ? this.empty : this.never;
    if (inner === this.any) return inner;
    const least = inner.nullable ? 0 : min;
    return this.#intern(`r${inner.id},${least},${max}`, { kind: "repeat", inner, min: least, max }, least === 0);
  }

  rule(rule: Rule): Expr {
    const known = this.#rules.get(rule);
    if (known !== undefined) return known;
    const expr = this.#intern(`u${this.#rules.size}`, { kind: "rule", rule }, false);
    this.#rules.set(rule, expr);
    return expr;
  }

  multiple(of: number, remainder = 0): Expr {
    return this.#intern(`m${of},${remainder}`, { kind: "multiple", of, remainder }, remainder === 0);
  }

  #intern(key: string, node: Node, nullable: boolean): Expr {
    let expr = this.#known.get(key);
    if (expr === undefined) {
      expr = new Expr(this.#known.size, node, nullable);
      this.#known.set(key, expr);
    }
    return expr;
  }
}
