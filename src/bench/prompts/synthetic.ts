import { drawLength, type Lengths } from "../load/lengths.js";
import type { Random } from "../load/random.js";
import type { ChatPlan, CountText, PromptSource } from "./chat-plan.js";
import { word } from "./words.js";

export interface SyntheticOptions {
  readonly lengths: Lengths;
  /** How many turns a chat has. */
  readonly turns: number;
  /** Length of a system prompt that all chats share; 0 is none. */
  readonly sharedPrefix: number;
  readonly count: CountText;
}

/** Random words, cut to length. All chats begin with the same system prompt where one is asked for; nothing else is shared. */
export function syntheticPrompts(options: SyntheticOptions, prefixRandom: Random): PromptSource {
  const { lengths, turns, sharedPrefix, count } = options;
  const opening =
    sharedPrefix === 0 ? [] : [{ role: "system", content: textOfLength(sharedPrefix, count, prefixRandom) }];
  return (random): ChatPlan => ({
    opening,
    turns: Array.from({ length: turns }, () => textOfLength(drawLength(lengths, random), count, random)),
  });
}

/** A filler that is one token in nearly every vocabulary. */
const FILLER = " a";
const MOST_CORRECTIONS = 8;

/** Words that together count `length`, or one less or more where the tokenizer has no text of exactly that. */
export function textOfLength(length: number, count: CountText, random: Random): string {
  const words: string[] = [];
  let missing = length;
  for (let step = 0; missing > 0 && step < MOST_CORRECTIONS; step++) {
    for (let i = 0; i < missing; i++) words.push(word(random));
    missing = length - count(words.join(" "));
    // What is too much goes first by whole words, of which each is at least a token.
    while (missing < 0 && words.length > 1) {
      words.length = Math.max(1, words.length + Math.ceil(missing / 2));
      if (missing === -1) words.pop();
      missing = length - count(words.join(" "));
    }
  }
  return words.join(" ") + FILLER.repeat(Math.max(0, missing));
}
