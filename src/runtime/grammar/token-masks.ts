import type { Derivatives } from "./derivatives.js";
import type { Expr, Node } from "./expression.js";
import { type Closings, countItems, findClosings, type ItemCounts } from "./item-counts.js";
import { sizeOf, type TokenSet, tokenSet, wordsFor } from "./token-set.js";
import type { TokenTrie } from "./token-trie.js";

/** What an expression allows on its own, whatever follows it. */
interface Inside {
  /** A bit for each token that fits into it, whole or as far as the token goes. */
  readonly words: Int32Array;
  /** Trie nodes at which it can end, though tokens go on. */
  readonly exits: Int32Array;
}

type Repeat = Extract<Node, { readonly kind: "repeat" }>;
type Bytes = Extract<Node, { readonly kind: "bytes" }>;

/** Beyond, all sets are forgotten and made again as they are needed. */
const MOST_BYTES = 64 * 2 ** 20;

/** New states that one mask may cost: some hundred milliseconds at worst, far more than any sane schema needs. */
const STATES_A_MASK = 100_000;

/**
 * Which tokens a state allows. A state is a sequence: what is being written, then the rest. Most tokens are decided by
 * what is being written alone (the inside of a string is the same in every schema), so that part is worked out once
 * and kept; then only tokens that go beyond its end are walked through the rest. (XGrammar, arXiv:2411.15100, divides
 * tokens in this way.)
 */
export class TokenMasks {
  readonly #masks = new Map<Expr, TokenSet>();
  readonly #insides = new Map<Expr, Inside>();
  readonly #counts = new Map<Expr, ItemCounts | undefined>();
  readonly #closings = new Map<Expr, Closings>();
  readonly #words: Int32Array;
  readonly #states: Expr[];
  #bytes = 0;

  /**
   * @param size logits of the model, at least as many as tokens
   * @param counted items that were counted elsewhere
   */
  constructor(
    readonly derivatives: Derivatives,
    readonly trie: TokenTrie,
    readonly size: number,
    private readonly counted: ReadonlyMap<Expr, ItemCounts | undefined> = new Map(),
  ) {
    this.#words = new Int32Array(wordsFor(size));
    this.#states = new Array<Expr>(trie.longest + 1).fill(derivatives.exprs.never);
  }

  /** Tokens after which something can still follow, or nothing need. Throws TooComplex. */
  of(state: Expr): TokenSet {
    const known = this.#masks.get(state);
    if (known !== undefined) return known;
    if (this.#bytes > MOST_BYTES) this.#forget();
    this.derivatives.budget = STATES_A_MASK;
    const words = this.#words.fill(0);
    this.#collect(state, words);
    const set = tokenSet(words, this.size);
    this.#masks.set(state, set);
    this.#bytes += sizeOf(set);
    return set;
  }

  #forget(): void {
    for (const kept of [this.#masks, this.#insides, this.#counts, this.#closings]) kept.clear();
    this.#bytes = 0;
  }

  #collect(state: Expr, words: Int32Array): void {
    const { node } = state;
    if (node.kind === "alt") {
      for (const branch of node.branches) this.#collect(branch, words);
    } else if (node.kind === "rule" && node.rule.body !== undefined) {
      this.#collect(node.rule.body, words);
    } else if (node.kind === "seq") {
      const [first, rest] = this.#divide(state, node.head, node.tail);
      const inside = this.#inside(first);
      unite(words, inside.words);
      for (const exit of rest === undefined ? [] : inside.exits) {
        if (exit === 0) this.#collect(rest as Expr, words);
        else this.#walk(rest as Expr, exit, words);
      }
    } else {
      unite(words, this.#inside(state).words);
    }
  }

  /** What is being written, with the byte that closes it, if one does: few tokens go beyond that. */
  #divide(state: Expr, head: Expr, tail: Expr): readonly [Expr, Expr | undefined] {
    if (head.node.kind === "bytes") return [head, tail];
    if (tail.node.kind === "bytes") return [state, undefined];
    if (tail.node.kind !== "seq" || tail.node.head.node.kind !== "bytes") return [head, tail];
    return [this.derivatives.exprs.seq(head, tail.node.head), tail.node.tail];
  }

  #inside(expr: Expr): Inside {
    const known = this.#insides.get(expr);
    if (known !== undefined) return known;
    const inside = this.#closed(expr) ?? this.#walkedThrough(expr);
    this.#insides.set(expr, inside);
    this.#bytes += 4 * (inside.words.length + inside.exits.length);
    return inside;
  }

  #walkedThrough(expr: Expr): Inside {
    const words = new Int32Array(wordsFor(this.size));
    const exits: number[] = expr.nullable ? [0] : [];
    this.#walk(expr, 0, words, exits);
    return { words, exits: Int32Array.from(exits) };
  }

  /** A repetition and the byte that closes it: each count would take a walk of its own, and here takes a comparison. */
  #closed({ node }: Expr): Inside | undefined {
    if (node.kind !== "seq" || node.head.node.kind !== "repeat" || node.tail.node.kind !== "bytes") return undefined;
    const { inner } = node.head.node;
    if (this.#mayBegin(inner, node.tail.node)) return undefined;
    const counts = this.#countsOf(inner);
    if (counts === undefined) return undefined;
    const repeat = this.#alike(node.head.node, counts.most);
    const alike = this.derivatives.exprs.seq(repeat, node.tail);
    const known = this.#insides.get(alike);
    if (known !== undefined) return known;
    const inside = this.#repeated(repeat.node as Repeat, node.tail.node, counts);
    this.#insides.set(alike, inside);
    return inside;
  }

  /** The repetition that no single token tells from this one. */
  #alike({ inner, min, max }: Repeat, most: number): Expr {
    // Two items at least, so that it stays a repetition.
    const high = max > Math.max(most, 1) ? Number.POSITIVE_INFINITY : max;
    return this.derivatives.exprs.repeat(inner, Math.min(min, most + 1), high);
  }

  #repeated({ inner, min, max }: Repeat, closing: Bytes, counts: ItemCounts): Inside {
    const { end, token } = this.trie;
    const words = new Int32Array(wordsFor(this.size));
    const { tokens, begun } = counts;
    for (let i = 0; i < tokens.length; i++) {
      if ((begun[i] as number) <= max) this.#set(tokens[i] as number, words);
    }
    const exits: number[] = [];
    const { nodes, items } = this.#closingsOf(inner, closing, counts);
    nodes.forEach((node, i) => {
      const count = items[i] as number;
      if (count < min || count > max) return;
      this.#add(token[node] as number, words);
      if ((end[node] as number) > node + 1) exits.push(node);
    });
    return { words, exits: Int32Array.from(exits) };
  }

  /** Whether a byte that closes may as well begin another item. */
  #mayBegin(item: Expr, { set }: Bytes): boolean {
    const { derivatives } = this;
    return set.table.some((has, byte) => has === 1 && derivatives.step(item, byte) !== derivatives.exprs.never);
  }

  #countsOf(item: Expr): ItemCounts | undefined {
    const known = this.counted.get(item);
    if (known !== undefined || this.#counts.has(item)) return known ?? this.#counts.get(item);
    const counts = countItems(this.derivatives, this.trie, item);
    this.#counts.set(item, counts);
    this.#bytes += counts === undefined ? 0 : 5 * (counts.tokens.length + counts.breaks.length);
    return counts;
  }

  #closingsOf(item: Expr, { set }: Bytes, counts: ItemCounts): Closings {
    const { exprs } = this.derivatives;
    const key = exprs.seq(exprs.repeat(item), exprs.bytes(set.bits));
    let closings = this.#closings.get(key);
    if (closings === undefined) {
      closings = findClosings(this.trie, counts, set);
      this.#closings.set(key, closings);
      this.#bytes += 5 * closings.nodes.length;
    }
    return closings;
  }

  /** Adds the tokens below `from` that `start` allows from there on, and the nodes where it may end before they do. */
  #walk(start: Expr, from: number, words: Int32Array, exits?: number[]): void {
    const { derivatives } = this;
    const { byte, depth, end, token } = this.trie;
    const { never } = derivatives.exprs;
    const states = this.#states;
    const last = end[from] as number;
    states[depth[from] as number] = start;
    for (let node = from + 1; node < last; ) {
      const level = depth[node] as number;
      const next = derivatives.step(states[level - 1] as Expr, byte[node] as number);
      const after = end[node] as number;
      if (next === never) {
        node = after;
        continue;
      }
      states[level] = next;
      this.#add(token[node] as number, words);
      if (exits !== undefined && next.nullable && after > node + 1) exits.push(node);
      node++;
    }
  }

  /** The token and those with the same bytes. */
  #add(id: number, words: Int32Array): void {
    for (let token = id; token >= 0; token = this.trie.twin[token] as number) this.#set(token, words);
  }

  #set(token: number, words: Int32Array): void {
    if (token < this.size) words[token >>> 5] = (words[token >>> 5] as number) | (1 << (token & 31));
  }
}

function unite(words: Int32Array, others: Int32Array): void {
  for (let i = 0; i < words.length; i++) words[i] = (words[i] as number) | (others[i] as number);
}
