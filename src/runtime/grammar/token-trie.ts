/**
 * All tokens of a vocabulary as a trie, its nodes numbered depth first: a node's children follow it, and what follows
 * its subtree has the number `end` gives. Plain arrays, so that a thread can make one for another.
 */
export interface TokenTrie {
  readonly byte: Uint8Array;
  /** Bytes from the root; 0 for the root, which is node 0. */
  readonly depth: Uint16Array;
  readonly end: Int32Array;
  /** The token that ends at the node, or -1. */
  readonly token: Int32Array;
  /** By token: another one with the same bytes, or -1. */
  readonly twin: Int32Array;
  readonly longest: number;
}

/** Longer tokens are never generated under a grammar; no vocabulary was seen with one. */
const LONGEST = 1024;

/** @param tokens the bytes of each token id; ids without are left out */
export function buildTokenTrie(tokens: readonly (Uint8Array | undefined)[]): TokenTrie {
  const sorted = sortedTokens(tokens);
  const nodes = sorted.reduce((sum, { text }, i) => sum + text.length - shared(text, sorted[i - 1]?.text ?? ""), 1);
  const trie = {
    byte: new Uint8Array(nodes),
    depth: new Uint16Array(nodes),
    end: new Int32Array(nodes),
    token: new Int32Array(nodes).fill(-1),
    twin: new Int32Array(tokens.length).fill(-1),
    longest: sorted.reduce((most, { text }) => Math.max(most, text.length), 0),
  };
  /** The nodes from the root to the last one made. */
  const path = [0];
  let next = 1;
  let previous = "";
  for (const { text, id } of sorted) {
    const from = shared(text, previous);
    for (const left of path.splice(from + 1)) trie.end[left] = next;
    for (let i = from; i < text.length; i++) {
      trie.byte[next] = text.charCodeAt(i);
      trie.depth[next] = i + 1;
      path.push(next++);
    }
    const node = path[text.length] as number;
    trie.twin[id] = trie.token[node] as number;
    trie.token[node] = id;
    previous = text;
  }
  for (const left of path) trie.end[left] = next;
  return trie;
}

interface SortedToken {
  /** One character a byte: strings are compared faster than arrays. */
  readonly text: string;
  readonly id: number;
}

function sortedTokens(tokens: readonly (Uint8Array | undefined)[]): readonly SortedToken[] {
  const known: SortedToken[] = [];
  tokens.forEach((bytes, id) => {
    if (bytes === undefined || bytes.length === 0 || bytes.length > LONGEST) return;
    known.push({ text: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1"), id });
  });
  return known.sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : b.id - a.id));
}

/** Length of the common beginning. */
function shared(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a.charCodeAt(length) === b.charCodeAt(length)) length++;
  return length;
}
