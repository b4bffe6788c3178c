/** Tokens in a row that must have occurred before; longer ones are tried first. */
const LONGEST_MATCH = 4;
const SHORTEST_MATCH = 2;

const NONE = new Int32Array(0);

/**
 * Guesses what follows: where the last few tokens occurred before, what followed them then. Prompt lookup decoding
 * (Saxena, 2023), which needs no second model and pays for texts that quote themselves.
 * @param most tokens to guess at most
 */
export function promptLookup(tokens: Int32Array, most: number): Int32Array {
  if (most <= 0) return NONE;
  for (let length = LONGEST_MATCH; length >= SHORTEST_MATCH; length--) {
    const end = lastMatchEnd(tokens, length);
    if (end !== undefined) return tokens.slice(end, Math.min(end + most, tokens.length));
  }
  return NONE;
}

/** Where the latest earlier occurrence of the last `length` tokens ends. */
function lastMatchEnd(tokens: Int32Array, length: number): number | undefined {
  const tail = tokens.length - length;
  for (let start = tail - 1; start >= 0; start--) {
    let same = 0;
    while (same < length && tokens[start + same] === tokens[tail + same]) same++;
    if (same === length) return start + length;
  }
  return undefined;
}
