import type { Random } from "../load/random.js";
import type { CountText } from "./chat-plan.js";
import { WORDS } from "./words.js";

/** One token in nearly every vocabulary. */
const FILLER = "a";

interface Word {
  readonly text: string;
  /** What it counts at the beginning of a text, and after another word. */
  readonly first: number;
  readonly next: number;
}

/**
 * Makes texts of random words. What each word counts is found out once, so that making a text, which happens as it is due,
 * tokenizes nothing: tokenizers split texts at spaces, which makes the counts of words add up.
 */
export class TextMaker {
  readonly #words: readonly Word[];
  readonly #filler: Word;

  constructor(count: CountText) {
    const measured = (text: string): Word => {
      return { text, first: count(text), next: count(`${FILLER} ${text}`) - count(FILLER) };
    };
    this.#words = WORDS.map(measured);
    this.#filler = measured(FILLER);
  }

  /** Words that together count `length`, or a little less where they come out at nothing that does; at least one. */
  make(length: number, random: Random): string {
    const texts: string[] = [];
    let left = length;
    for (;;) {
      const word = this.#words[Math.floor(random() * this.#words.length)] as Word;
      const size = texts.length === 0 ? word.first : word.next;
      if (size > left) break;
      texts.push(word.text);
      left -= size;
    }
    if (texts.length === 0) {
      texts.push(this.#filler.text);
      left -= this.#filler.first;
    }
    for (; left >= this.#filler.next; left -= this.#filler.next) texts.push(this.#filler.text);
    return texts.join(" ");
  }
}
