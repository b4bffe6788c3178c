import type { Random } from "../load/random.js";

export interface Message {
  readonly role: string;
  readonly content: string;
}

/** What one user will say: a single request, or turns that each wait for the answer to the one before. */
export interface ChatPlan {
  /** Before the first turn: a system prompt, or a conversation so far. */
  readonly opening: readonly Message[];
  /** At least one. */
  readonly turns: readonly string[];
  /** Instead of what `--max-tokens` says. */
  readonly maxTokens?: number;
}

/** Where prompts come from. The same random numbers give the same prompts. */
export type PromptSource = (random: Random) => ChatPlan;

/** Counts what a text is long in: tokens of the target's tokenizer, or words. */
export type CountText = (text: string) => number;
