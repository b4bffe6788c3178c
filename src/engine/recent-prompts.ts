import { commonPrefix } from "./prefix.js";

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
    return this.#prompts.reduce(
      (longest, other) => (other.salt === salt ? Math.max(longest, commonPrefix(other.tokens, tokens)) : longest),
      0,
    );
  }

  add(tokens: Int32Array, salt: string): void {
    // A prompt that goes on where another ended stands for both: a chat takes one place, however many its turns.
    this.#keep((other) => other.salt !== salt || commonPrefix(other.tokens, tokens) < other.tokens.length);
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
