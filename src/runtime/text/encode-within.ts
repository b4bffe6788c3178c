import type { Tokenizer } from "./tokenizer.js";

/** Text of this many characters a token and more is tried piece by piece first; running text has three to five. */
const USUAL_CHARACTERS = 8;
const PIECE_CHARACTERS = 1 << 15;
/**
 * Cutting a text changes the tokens at the cuts, which are a handful in thousands. That it should double their number
 * is out of the question.
 */
const CERTAINTY = 2;

/**
 * The ids of a text, or undefined as soon as it is clear that there are more than `most`: a text far too long is not
 * encoded to its end.
 */
export function encodeWithin(
  tokenizer: Pick<Tokenizer, "encode" | "leastTokens">,
  text: string,
  options: { readonly addSpecialTokens: boolean },
  most: number,
): Int32Array | undefined {
  if (tokenizer.leastTokens(text) > most) return undefined;
  if (text.length > most * USUAL_CHARACTERS && outgrows(tokenizer, text, most * CERTAINTY)) return undefined;
  return tokenizer.encode(text, options);
}

function outgrows(tokenizer: Pick<Tokenizer, "encode">, text: string, most: number): boolean {
  let tokens = 0;
  for (let start = 0; start < text.length && tokens <= most; ) {
    const end = pieceEnd(text, start);
    tokens += tokenizer.encode(text.slice(start, end), { addSpecialTokens: false }).length;
    start = end;
  }
  return tokens > most;
}

/** Before a space where there is one: no token of any tokenizer known reaches from one word into the next. */
function pieceEnd(text: string, start: number): number {
  const end = start + PIECE_CHARACTERS;
  if (end >= text.length) return text.length;
  const space = text.lastIndexOf(" ", end);
  return space > start ? space : end;
}
