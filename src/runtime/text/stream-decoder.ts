/** Text of one growing output. */
export interface StreamDecoder {
  /** The text that this token completes; empty while a UTF-8 character is unfinished. */
  push(id: number): string;
  /** What is left, once no token follows. */
  flush(): string;
}

/** Text of ids as one whole output, special tokens already left out. */
export type DecodeIds = (ids: readonly number[]) => string;

/** What a UTF-8 decoder writes for bytes that are no character, or not yet one. */
const REPLACEMENT = "\uFFFD";

/**
 * Tokens of context that are decoded along with the new one. An unfinished character is at most three bytes, and
 * every token has at least one, so four tokens always hold all of it and the token before it.
 */
const CONTEXT = 4;
const WINDOW = 8;

/**
 * Decodes a growing output token by token, at constant cost a token: it decodes a short window of the last tokens
 * and gives what that window's text gained. A token's text depends on its neighbours (a leading space that only the
 * first token loses, a character of several tokens), which is why tokens are never decoded alone. (The idea is the
 * prefix offset of Hugging Face's text-generation-inference and vLLM.)
 */
export class WindowDecoder implements StreamDecoder {
  private window: number[];
  /** Characters of the window's text that were given out; what follows them is held back. */
  private given: number;
  private text: string;

  /** `context` is what came before the output: the end of the prompt, whose text is not given out. */
  constructor(
    private readonly decode: DecodeIds,
    private readonly skipped: ReadonlySet<number>,
    context: ArrayLike<number>,
  ) {
    this.window = Array.from(context)
      .filter((id) => !skipped.has(id))
      .slice(-CONTEXT);
    this.text = decode(this.window);
    this.given = settledLength(this.text);
  }

  push(id: number): string {
    if (this.skipped.has(id)) return "";
    if (this.window.length === WINDOW) this.shrink();
    this.window.push(id);
    this.text = this.decode(this.window);
    return this.giveUpTo(settledLength(this.text));
  }

  flush(): string {
    return this.giveUpTo(this.text.length);
  }

  private giveUpTo(end: number): string {
    const gained = this.text.slice(this.given, end);
    this.given = Math.max(this.given, end);
    return gained;
  }

  private shrink(): void {
    const held = this.text.length - this.given;
    this.window = this.window.slice(-CONTEXT);
    this.text = this.decode(this.window);
    this.given = this.text.length - held;
  }
}

/** An unfinished character shows as one replacement character at the end; all before it is final. */
function settledLength(text: string): number {
  return text.endsWith(REPLACEMENT) ? text.length - 1 : text.length;
}
