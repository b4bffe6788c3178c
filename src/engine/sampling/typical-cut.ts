import { nearestMass } from "./nearest-mass.js";

/**
 * Locally typical sampling (Meister et al., arXiv:2202.00666): of a distribution keeps the tokens whose information
 * content, -log p, lies nearest to its entropy, the fewest whose mass reaches `typicalP`, and everything as near as the
 * last of them. Scratch is allocated with the first use, for the vocabulary.
 */
export class TypicalCut {
  readonly #distances: Float64Array;
  readonly #keys: Float64Array;
  readonly #masses: Float64Array;

  constructor(vocabSize: number) {
    this.#distances = new Float64Array(vocabSize);
    this.#keys = new Float64Array(vocabSize);
    this.#masses = new Float64Array(vocabSize);
  }

  /**
   * Moves the typical ones of the first `count` candidates to the front, in their order; returns how many they are.
   * @param weights probabilities up to a common factor; candidates of weight 0 are dropped
   */
  apply(ids: Int32Array, weights: Float64Array, count: number, typicalP: number): number {
    let total = 0;
    let most = 0;
    let logs = 0;
    for (let i = 0; i < count; i++) {
      const weight = weights[i] as number;
      total += weight;
      if (weight > most) most = weight;
      if (weight > 0) logs += weight * Math.log(weight);
    }
    // |-log p - entropy|, with p = weight / total: the total cancels.
    const mean = logs / total;
    // All below this weight together have less than the mass to cut. Where it is farther from the mean than the largest
    // weight is, what is heavier reaches the mass before anything below it comes in reach.
    const floor = ((1 - typicalP) * total) / count;
    const least = Math.log(most) - mean <= mean - Math.log(floor) ? floor : Number.MIN_VALUE;
    let contenders = 0;
    for (let i = 0; i < count; i++) {
      const weight = weights[i] as number;
      const distance = weight < least ? Number.POSITIVE_INFINITY : Math.abs(Math.log(weight) - mean);
      this.#distances[i] = distance;
      if (distance === Number.POSITIVE_INFINITY) continue;
      this.#keys[contenders] = distance;
      this.#masses[contenders++] = weight;
    }
    const farthest = nearestMass(this.#keys, this.#masses, contenders, typicalP * total);
    let kept = 0;
    for (let i = 0; i < count; i++) {
      if ((this.#distances[i] as number) > farthest) continue;
      ids[kept] = ids[i] as number;
      weights[kept++] = weights[i] as number;
    }
    return kept;
  }
}
