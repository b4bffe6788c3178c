import { OnlineLeastSquares } from "./online-least-squares.js";

/** What a step computes. */
export interface StepWork {
  readonly phase: "prefill" | "decode";
  readonly rows: number;
  /** Tokens fed, over all rows. */
  readonly tokens: number;
  /** Over all rows, tokens fed times tokens attended to. */
  readonly attended: number;
}

/** Observations before a prediction is worth having. */
const ENOUGH = 4;
/** A step that took this many times what was expected was disturbed by something else; it counts as this much. */
const MOST_SURPRISE = 3;

/**
 * Predicts what a step takes from what steps took: weights are read once a step, each token costs its products, and
 * attention its tokens times the tokens before them. Prefills and decode steps have a model each, as their kernels differ.
 */
export class StepCosts {
  readonly #models = { prefill: new OnlineLeastSquares(3), decode: new OnlineLeastSquares(3) };
  readonly #seen = { prefill: 0, decode: 0 };

  observe(work: StepWork, ms: number): void {
    const expected = this.predict(work);
    const value = expected === undefined ? ms : Math.min(ms, MOST_SURPRISE * expected);
    this.#models[work.phase].observe(featuresOf(work), value);
    this.#seen[work.phase]++;
  }

  /** Milliseconds; undefined while too little was seen. */
  predict(work: StepWork): number | undefined {
    if (this.#seen[work.phase] < ENOUGH) return undefined;
    const ms = this.#models[work.phase].predict(featuresOf(work));
    return ms > 0 ? ms : undefined;
  }
}

const featuresOf = ({ tokens, attended }: StepWork): number[] => [1, tokens / 64, attended / 65_536];
