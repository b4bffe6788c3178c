/** Tokens of which a vocabulary has many, as the shortest of three lists. */
export type TokenSet =
  | { readonly kind: "only"; readonly tokens: Int32Array }
  | { readonly kind: "but"; readonly tokens: Int32Array }
  | { readonly kind: "bits"; readonly words: Int32Array };

export const wordsFor = (size: number): number => (size + 31) >>> 5;

/** @param words a bit for each of `size` tokens */
export function tokenSet(words: Int32Array, size: number): TokenSet {
  let count = 0;
  for (const word of words) count += ones(word);
  if (count <= words.length) return { kind: "only", tokens: listed(words, size, 1, count) };
  if (size - count <= words.length) return { kind: "but", tokens: listed(words, size, 0, size - count) };
  return { kind: "bits", words: words.slice() };
}

/** Writes minus infinity where the set has no token. */
export function forbidOthers(logits: Float32Array, set: TokenSet): void {
  switch (set.kind) {
    case "only": {
      const kept = Float32Array.from(set.tokens, (token) => logits[token] as number);
      logits.fill(Number.NEGATIVE_INFINITY);
      set.tokens.forEach((token, i) => {
        logits[token] = kept[i] as number;
      });
      break;
    }
    case "but":
      for (const token of set.tokens) logits[token] = Number.NEGATIVE_INFINITY;
      break;
    case "bits":
      forbidUnset(logits, set.words);
  }
}

function forbidUnset(logits: Float32Array, words: Int32Array): void {
  for (let index = 0; index < words.length; index++) {
    // The lowest bit that is left, until none is.
    for (let unset = ~(words[index] as number); unset !== 0; unset &= unset - 1) {
      logits[(index << 5) + 31 - Math.clz32(unset & -unset)] = Number.NEGATIVE_INFINITY;
    }
  }
}

/** Bytes it takes. */
export const sizeOf = (set: TokenSet): number => 64 + 4 * (set.kind === "bits" ? set.words : set.tokens).length;

function listed(words: Int32Array, size: number, bit: 0 | 1, count: number): Int32Array {
  const tokens = new Int32Array(count);
  let at = 0;
  for (let index = 0; index < words.length; index++) {
    let rest = bit === 1 ? (words[index] as number) : ~(words[index] as number);
    for (; rest !== 0 && at < count; rest &= rest - 1) {
      const token = (index << 5) + 31 - Math.clz32(rest & -rest);
      if (token < size) tokens[at++] = token;
    }
  }
  return tokens;
}

/** Bits that are set (H. S. Warren, "Hacker's Delight", section 5-1). */
function ones(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const nibbles = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((nibbles + (nibbles >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
