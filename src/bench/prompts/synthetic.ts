import { drawLength, type Lengths } from "../load/lengths.js";
import type { Random } from "../load/random.js";
import type { ChatPlan, PromptSource } from "./chat-plan.js";
import type { TextMaker } from "./text-maker.js";

export interface SyntheticOptions {
  readonly lengths: Lengths;
  /** How many turns a chat has. */
  readonly turns: number;
  /** Length of a system prompt that all chats share; 0 is none. */
  readonly sharedPrefix: number;
  readonly maker: TextMaker;
}

/** Random words of these lengths. All chats begin with the same system prompt where one is asked for; nothing else is shared. */
export function syntheticPrompts(options: SyntheticOptions, prefixRandom: Random): PromptSource {
  const { lengths, turns, sharedPrefix, maker } = options;
  const opening = sharedPrefix === 0 ? [] : [{ role: "system", content: maker.make(sharedPrefix, prefixRandom) }];
  return (random): ChatPlan => ({
    opening,
    turns: Array.from({ length: turns }, () => maker.make(drawLength(lengths, random), random)),
  });
}
