import { commonPrefix } from "../cache/prefix.js";

export interface RecentPromptsLimits {
  /** Most prompts. */
  readonly prompts: number;
  /** Most tokens of all of them together, 4 bytes each. */
  readonly tokens: number;
}

interface RecentPrompt {
  readonly tokens: Int32Array;
  readonly salt: string;
}

/** The last prompts that one engine took, as a guess at what its cache holds. Prompts of different salts never match. */
export class RecentPrompts {
  /** Oldest first. */
  #prompts: RecentPrompt[] = [];
  #tokens = 0;

  constructor(private readonly limits: RecentPromptsLimits) {}

  /** How many tokens of this prompt, from its start, the engine has seen in one before. */
  longestPrefix(tokens: Int32Array, salt: string): number {
    let longest = 0;
    for (const other of this.#prompts) {
      // Most prompts with a common beginning part at the same token: those need no second look.
      if (other.salt !== salt || other.tokens[longest] !== tokens[longest]) continue;
      longest = Math.max(longest, commonPrefix(other.tokens, tokens));
    }
    return longest;
  }

  add(tokens: Int32Array, salt: string): void {
    // A prompt that goes on where another ended stands for both: a chat takes one place, however many its turns.
    this.#keep((other) => other.salt !== salt || !beginsWith(tokens, other.tokens));
    this.#prompts.push({ tokens, salt });
    this.#tokens += tokens.length;
    while (this.#prompts.length > this.limits.prompts || this.#tokens > this.limits.tokens) {
      this.#tokens -= this.#prompts.shift()?.tokens.length ?? 0;
    }
  }

  clear(): void {
    this.#keep(() => false);
  }

  #keep(keeps: (prompt: RecentPrompt) => boolean): void {
    this.#prompts = this.#prompts.filter(keeps);
    this.#tokens = this.#prompts.reduce((sum, { tokens }) => sum + tokens.length, 0);
  }
}

function beginsWith(tokens: Int32Array, start: Int32Array): boolean {
  const last = start.length - 1;
  return start[last] === tokens[last] && commonPrefix(start, tokens) === start.length;
}
