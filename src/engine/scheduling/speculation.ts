import { promptLookup } from "./prompt-lookup.js";

/** Tokens guessed at once: verifying four costs less than two plain steps. */
const MOST_GUESSES = 4;
/** Plain steps before the first guess: what a step takes must be known to say what a guess gains. */
const PLAIN_STEPS = 4;
/** Steps with guesses before they are judged. */
const TRIAL = 8;
/** Gains less than this are noise. */
const WORTHWHILE = 1.05;
/** Plain steps after guesses did not pay, before they are tried again; doubled each time. */
const PAUSE = 64;
const LONGEST_PAUSE = 4096;

const NONE = new Int32Array(0);

/**
 * Speculative decoding (Leviathan et al., 2023) without a second model, for a lone stream and only while it measures
 * faster than plain steps. Verified with the same sampler and random numbers, so the text does not change.
 */
export class Speculation {
  #plainMs = 0;
  #plainSteps = 0;
  #trialMs = 0;
  #trialTokens = 0;
  #trialSteps = 0;
  #pause = 0;
  #nextPause = PAUSE;

  /** Guesses to feed along, often none. */
  propose(tokens: Int32Array, most: number): Int32Array {
    if (this.#plainSteps < PLAIN_STEPS || this.#pause > 0) return NONE;
    return promptLookup(tokens, Math.min(most, MOST_GUESSES));
  }

  /** A step of a lone stream: how many guesses were fed, and how many tokens it gave. */
  observe(guesses: number, tokens: number, ms: number): void {
    if (guesses === 0) this.#observePlain(ms);
    else this.#observeTrial(tokens, ms);
  }

  #observePlain(ms: number): void {
    this.#plainSteps++;
    this.#pause = Math.max(0, this.#pause - 1);
    this.#plainMs = this.#plainSteps === 1 ? ms : this.#plainMs + (ms - this.#plainMs) / 8;
  }

  #observeTrial(tokens: number, ms: number): void {
    this.#trialMs += ms;
    this.#trialTokens += tokens;
    if (++this.#trialSteps < TRIAL) return;
    const gain = (this.#trialTokens * this.#plainMs) / this.#trialMs;
    if (gain < WORTHWHILE) {
      this.#pause = this.#nextPause;
      this.#nextPause = Math.min(2 * this.#nextPause, LONGEST_PAUSE);
    } else this.#nextPause = PAUSE;
    this.#trialMs = 0;
    this.#trialTokens = 0;
    this.#trialSteps = 0;
  }
}
