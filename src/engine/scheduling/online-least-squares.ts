/** How fast old observations fade: about the last 200 count. */
const FORGETTING = 0.995;
/** Rounds of descent after an observation; each starts where the last one ended. */
const ROUNDS = 8;

/**
 * A linear model with weights of at least 0 that learns from one observation at a time: least squares with exponential
 * forgetting, solved by coordinate descent on the normal equations (Franc, Hlaváč, Navara, "Sequential coordinate-wise
 * algorithm for the non-negative least squares problem", 2005). What recent observations do not tell stays as it was:
 * a plain recursive least squares makes noise of it. Features are at least 0, values finite.
 */
export class OnlineLeastSquares {
  readonly #size: number;
  readonly #weights: Float64Array;
  /** Sums of feature times feature, row by row, and of feature times value; both fade. */
  readonly #products: Float64Array;
  readonly #targets: Float64Array;

  constructor(size: number) {
    this.#size = size;
    this.#weights = new Float64Array(size);
    this.#products = new Float64Array(size * size);
    this.#targets = new Float64Array(size);
  }

  predict(features: readonly number[]): number {
    return features.reduce((sum, feature, i) => sum + feature * (this.#weights[i] as number), 0);
  }

  observe(features: readonly number[], value: number): void {
    const size = this.#size;
    for (let i = 0; i < size; i++) {
      const feature = features[i] as number;
      this.#targets[i] = FORGETTING * (this.#targets[i] as number) + feature * value;
      for (let j = 0; j < size; j++) {
        const at = i * size + j;
        this.#products[at] = FORGETTING * (this.#products[at] as number) + feature * (features[j] as number);
      }
    }
    for (let round = 0; round < ROUNDS; round++) for (let i = 0; i < size; i++) this.#improve(i);
  }

  /** The best value of one weight while the others stay. */
  #improve(index: number): void {
    const row = index * this.#size;
    const square = this.#products[row + index] as number;
    // A feature that was never seen says nothing.
    if (square < Number.MIN_VALUE / Number.EPSILON) return;
    let rest = this.#targets[index] as number;
    for (let j = 0; j < this.#size; j++) {
      if (j !== index) rest -= (this.#products[row + j] as number) * (this.#weights[j] as number);
    }
    this.#weights[index] = Math.max(0, rest / square);
  }
}
