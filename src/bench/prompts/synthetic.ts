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

/** One token in nearly every vocabulary. */
const FILLER = "a";

/** Words that together count `length`, or a little less where the tokenizer has no text of exactly that. */
export function textOfLength(length: number, count: CountText, random: Random): string {
  // No word is less than a token.
  const words = Array.from({ length }, () => word(random));
  const whole = mostThatFit(words, length, count);
  const missing = length - count(words.slice(0, whole).join(" "));
  const filled = [...words.slice(0, whole), ...Array<string>(missing).fill(FILLER)];
  return filled.slice(0, Math.max(1, mostThatFit(filled, length, count))).join(" ");
}

/** How many of the words count at most `length` together. */
function mostThatFit(words: readonly string[], length: number, count: CountText): number {
  let [fits, tooMany] = [0, words.length + 1];
  while (tooMany - fits > 1) {
    const middle = (fits + tooMany) >> 1;
    if (count(words.slice(0, middle).join(" ")) <= length) fits = middle;
    else tooMany = middle;
  }
  return fits;
}
