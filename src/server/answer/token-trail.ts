import type { PositionLogprobs } from "../../protocol.js";
import type { Tokenizer } from "../../runtime/text/tokenizer.js";
import type { TokenEntry } from "./logprob-format.js";

/**
 * The tokens of one answer on their way out: each leaves with the text that it begins, which may be held back for a
 * stop string or for the rest of a character. Tokens of text that never leaves do not leave either.
 */
export class TokenTrail {
  readonly #waiting: { readonly entry: TokenEntry; readonly start: number }[] = [];
  /** UTF-16 units that arrived and that left. */
  #arrived = 0;
  #left = 0;
  /** Characters that arrived. */
  #offset = 0;

  constructor(private readonly tokenizer: Pick<Tokenizer, "bytesOf">) {}

  /** A token and the text that it completed. `logprobs` is undefined for a text's first token. */
  add(token: number, logprobs: PositionLogprobs | undefined, text: string): void {
    const likelihood = (id: number, logprob: number | undefined) => ({ bytes: this.tokenizer.bytesOf(id), logprob });
    const top = logprobs?.top.map(({ token, logprob }) => likelihood(token, logprob)) ?? [];
    const entry = { ...likelihood(token, logprobs?.logprob), top, offset: this.#offset };
    this.#waiting.push({ entry, start: this.#arrived });
    this.#arrived += text.length;
    this.#offset += [...text].length;
  }

  /** All that has left so far is this text, and nothing is on its way. */
  startAfter(text: string): void {
    this.#arrived = text.length;
    this.#left = text.length;
    this.#offset = [...text].length;
  }

  /** The next `length` UTF-16 units leave: the tokens that leave with them. */
  release(length: number): readonly TokenEntry[] {
    this.#left += length;
    const end = this.#waiting.findIndex(({ start }) => start >= this.#left);
    return this.#take(end < 0 ? this.#waiting.length : end);
  }

  /** What is left, once no text follows. */
  flush(): readonly TokenEntry[] {
    return this.#take(this.#waiting.length);
  }

  #take(count: number): readonly TokenEntry[] {
    return this.#waiting.splice(0, count).map(({ entry }) => entry);
  }
}
