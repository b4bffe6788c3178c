import type { ByteSet } from "./byte-set.js";
import { bytesToTry, type Derivatives } from "./derivatives.js";
import type { Expr } from "./expression.js";
import type { TokenTrie } from "./token-trie.js";

/**
 * How many items, such as the characters of a string, each token begins: with it the tokens that `maxLength` leaves
 * are known without another walk through the trie. For items of which it is certain at which byte they end.
 */
export interface ItemCounts {
  /** Tokens made of items alone, the last of them perhaps unfinished, and the number of items each begins. */
  readonly tokens: Int32Array;
  readonly begun: Uint8Array;
  /** Trie nodes whose byte follows whole items and begins no other, and how many items those are. */
  readonly breaks: Int32Array;
  readonly breakItems: Uint8Array;
  /** The most that any token begins. */
  readonly most: number;
}

/** Undefined where the end of an item is not certain, or a token holds too many. */
export function countItems(derivatives: Derivatives, trie: TokenTrie, item: Expr): ItemCounts | undefined {
  if (trie.longest > 255 || !isPrefixFree(derivatives, item)) return undefined;
  const { byte, depth, end, token, twin } = trie;
  const { exprs } = derivatives;
  const items = exprs.repeat(item);
  const states = new Array<Expr>(trie.longest + 1).fill(items);
  const path = new Uint8Array(trie.longest + 1);
  const tokens: number[] = [];
  const begun: number[] = [];
  const breaks: number[] = [];
  const breakItems: number[] = [];
  for (let node = 1; node < byte.length; ) {
    const level = depth[node] as number;
    const before = states[level - 1] as Expr;
    const next = derivatives.step(before, byte[node] as number);
    if (next === exprs.never) {
      if (before === items) {
        breaks.push(node);
        breakItems.push(path[level - 1] as number);
      }
      node = end[node] as number;
      continue;
    }
    const count = (path[level - 1] as number) + (before === items ? 1 : 0);
    states[level] = next;
    path[level] = count;
    for (let id = token[node] as number; id >= 0; id = twin[id] as number) {
      tokens.push(id);
      begun.push(count);
    }
    node++;
  }
  return {
    tokens: Int32Array.from(tokens),
    begun: Uint8Array.from(begun),
    breaks: Int32Array.from(breaks),
    breakItems: Uint8Array.from(breakItems),
    most: begun.reduce((most, count) => Math.max(most, count), 0),
  };
}

/** The trie nodes that a byte of `closing` makes of whole items, and how many items there are before it. */
export interface Closings {
  readonly nodes: Int32Array;
  readonly items: Uint8Array;
}

/** @param closing bytes that begin no item */
export function findClosings(trie: TokenTrie, { breaks, breakItems }: ItemCounts, closing: ByteSet): Closings {
  const closes = (node: number): boolean => closing.table[trie.byte[node] as number] === 1;
  return { nodes: breaks.filter(closes), items: breakItems.filter((_, i) => closes(breaks[i] as number)) };
}

/** A character's automaton is this small; others are not worth looking at. */
const MOST_STATES = 64;

/** Whether no string of the expression begins another one. */
function isPrefixFree(derivatives: Derivatives, expr: Expr): boolean {
  const { empty, never } = derivatives.exprs;
  if (!isPlain(expr)) return false;
  const bytes = bytesToTry(expr);
  const seen = new Set([expr]);
  const open = [expr];
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    if (state === empty) continue;
    if (state.nullable || seen.size > MOST_STATES) return false;
    for (const byte of bytes) {
      const next = derivatives.step(state, byte);
      if (next === never || seen.has(next)) continue;
      seen.add(next);
      open.push(next);
    }
  }
  return true;
}

/** Made of bytes, sequences, alternatives and repetitions alone, as characters are. */
function isPlain({ node }: Expr): boolean {
  switch (node.kind) {
    case "bytes":
    case "empty":
      return true;
    case "seq":
      return isPlain(node.head) && isPlain(node.tail);
    case "alt":
      return node.branches.every(isPlain);
    case "repeat":
      return isPlain(node.inner);
    default:
      return false;
  }
}
