/** A token's own bytes and how likely it was. */
interface Likelihood {
  readonly bytes: Uint8Array;
  /** Natural logarithm; undefined for a text's first token, which nothing precedes. */
  readonly logprob: number | undefined;
}

/** A token of an answer, with what `logprobs` asks for. */
export interface TokenEntry extends Likelihood {
  /** The likeliest tokens at its place, best first. */
  readonly top: readonly Likelihood[];
  /** Characters of the answer before it. */
  readonly offset: number;
}

/** What OpenAI's API says instead of minus infinity, which JSON does not have. */
const LEAST_LOGPROB = -9999;

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** `logprobs` of a choice of `/v1/chat/completions`. */
export function chatLogprobs(entries: readonly TokenEntry[]): object {
  const likelihood = ({ bytes, logprob }: Likelihood) => ({
    token: tokenText(bytes, ""),
    logprob: finite(logprob),
    bytes: [...bytes],
  });
  const content = entries.map((entry) => ({ ...likelihood(entry), top_logprobs: entry.top.map(likelihood) }));
  return { content, refusal: null };
}

/** `logprobs` of a choice of `/v1/completions`: one array a property. The alternatives have the token itself among them. */
export function completionLogprobs(entries: readonly TokenEntry[]): object {
  const text = ({ bytes }: Likelihood): string => tokenText(bytes, "bytes:");
  const alternatives = (entry: TokenEntry): object | null => {
    if (entry.logprob === undefined) return null;
    const found = new Map<string, number | null>();
    // Of tokens with one text the likeliest counts.
    for (const one of [...entry.top, entry]) if (!found.has(text(one))) found.set(text(one), finite(one.logprob));
    return Object.fromEntries(found);
  };
  return {
    tokens: entries.map(text),
    token_logprobs: entries.map(({ logprob }) => finite(logprob)),
    top_logprobs: entries.map(alternatives),
    text_offset: entries.map(({ offset }) => offset),
  };
}

function finite(logprob: number | undefined): number | null {
  return logprob === undefined ? null : Math.max(logprob, LEAST_LOGPROB);
}

/** Bytes that are no whole characters are written as OpenAI's API writes them: `\xf0\x9f`. */
function tokenText(bytes: Uint8Array, prefix: string): string {
  try {
    return strict.decode(bytes);
  } catch {
    return `${prefix}${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
  }
}
