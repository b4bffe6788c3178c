/** How fast old observations fade: about the last 200 count. */
const FORGETTING = 0.995;
/** Initial variance of the coefficients: nothing is known of them. */
const UNKNOWN = 1e4;

/**
 * A linear model that learns from one observation at a time: recursive least squares with exponential forgetting
 * (Haykin, "Adaptive Filter Theory", chapter on RLS). Features should be of the order of 1.
 */
export class LeastSquares {
  readonly #size: number;
  readonly #weights: Float64Array;
  /** Inverse correlation of the features, row by row. */
  readonly #inverse: Float64Array;
  readonly #gain: Float64Array;

  constructor(size: number) {
    this.#size = size;
    this.#weights = new Float64Array(size);
    this.#gain = new Float64Array(size);
    this.#inverse = new Float64Array(size * size);
    for (let i = 0; i < size; i++) this.#inverse[i * size + i] = UNKNOWN;
  }

  predict(features: readonly number[]): number {
    return features.reduce((sum, feature, i) => sum + feature * (this.#weights[i] as number), 0);
  }

  observe(features: readonly number[], value: number): void {
    const size = this.#size;
    const inverse = this.#inverse;
    let scale = FORGETTING;
    for (let i = 0; i < size; i++) {
      let sum = 0;
      for (let j = 0; j < size; j++) sum += (inverse[i * size + j] as number) * (features[j] as number);
      this.#gain[i] = sum;
      scale += sum * (features[i] as number);
    }
    const error = value - this.predict(features);
    for (let i = 0; i < size; i++) {
      const gain = (this.#gain[i] as number) / scale;
      this.#weights[i] = (this.#weights[i] as number) + gain * error;
      for (let j = 0; j < size; j++) {
        const next = ((inverse[i * size + j] as number) - gain * (this.#gain[j] as number)) / FORGETTING;
        // Directions that are never seen would grow for ever.
        inverse[i * size + j] = Math.max(-UNKNOWN, Math.min(UNKNOWN, next));
      }
    }
  }
}
