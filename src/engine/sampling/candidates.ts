import type { SamplingParams } from "../../protocol.js";
import type { TopLogits } from "../runner.js";
import { kthLargest, massThreshold } from "./select.js";
import { TypicalCut } from "./typical-cut.js";
import { weighFrom, weighOne } from "./weight.js";

/**
 * Tokens e^60 times less likely than the likeliest are left out: all of them together, in the largest vocabulary, have
 * less than what the 53 bits of a random number can tell from nothing.
 */
const REACH = 60;
/**
 * Weights are put into bins, 16 to an octave, to find where a mass is reached: by the exponent of the number and the
 * first 4 bits of its fraction, which are the upper half of its upper word. The first bin holds 1, the largest weight.
 */
const FIRST_BIN = 0x3ff0;
const BINS = Math.ceil((16 * REACH) / Math.LN2) + 2;

/**
 * The tokens that may be chosen, by ascending id, weighted by their probability relative to the likeliest one's. Scratch is allocated once,
 * for the vocabulary; nothing is sorted.
 */
export class Candidates {
  readonly #vocabSize: number;
  readonly #ids: Int32Array;
  readonly #weights: Float64Array;
  /** The halves of `#weights`, the upper one second. */
  readonly #words: Uint32Array;
  /** Of the weights in each bin. */
  readonly #masses = new Float64Array(BINS);
  readonly #partition: Float64Array;
  readonly #heap: Float32Array;
  /** How many there are in `#ids` and `#weights`. */
  #count = 0;
  /** Their weights' sum. */
  #total = 0;
  #typical: TypicalCut | undefined;

  constructor(vocabSize: number) {
    this.#vocabSize = vocabSize;
    this.#ids = new Int32Array(vocabSize);
    this.#weights = new Float64Array(vocabSize);
    this.#words = new Uint32Array(this.#weights.buffer);
    this.#partition = new Float64Array(vocabSize);
    this.#heap = new Float32Array(vocabSize);
  }

  /** Makes candidates of the top k. @param max the largest logit */
  gather(logits: Float32Array, max: number, { temperature, topK, topP, minP }: SamplingParams): void {
    let floor = max - REACH * temperature;
    if (topK > 0 && topK < logits.length) {
      floor = Math.max(floor, kthLargest(logits, logits.length, topK, this.#heap));
    }
    // Without a nucleus in between, min_p's cut can spare the exponentials; the exact cut follows.
    if (topP >= 1 && minP > 0) floor = Math.max(floor, max + temperature * (Math.log(minP) - 1e-9));
    this.#count = weighFrom(floor, logits, max, temperature, this.#ids, this.#weights);
    let total = 0;
    for (let i = 0; i < this.#count; i++) total += this.#weights[i] as number;
    this.#total = total;
  }

  /**
   * The same of the likeliest tokens, likeliest first; false where they do not tell, as what is equally likely as the last that top_k
   * keeps may go on beyond them.
   */
  gatherTop({ ids, logits }: TopLogits, { temperature, topK }: SamplingParams): boolean {
    const max = logits[0] as number;
    const kth = logits[topK - 1];
    if (kth === undefined || (kth === logits.at(-1) && ids.length < this.#vocabSize)) return false;
    const floor = Math.max(max - REACH * temperature, kth);
    const kept = logits.findLastIndex((logit) => logit >= floor) + 1;
    // By ascending id, so that the same random number draws the same token.
    const order = Array.from({ length: kept }, (_, rank) => rank).sort(
      (a, b) => (ids[a] as number) - (ids[b] as number),
    );
    this.#count = kept;
    this.#total = 0;
    for (const [index, rank] of order.entries()) {
      const weight = weighOne(logits[rank] as number, max, temperature);
      this.#ids[index] = ids[rank] as number;
      this.#weights[index] = weight;
      this.#total += weight;
    }
    return true;
  }

  /** Leaves the fewest likeliest whose mass reaches `topP`, of equals the lowest ids. */
  keepNucleus(topP: number): void {
    const target = topP * this.#total;
    let { mass, threshold } = this.#cut(target);
    let kept = 0;
    let total = 0;
    for (let i = 0; i < this.#count; i++) {
      const weight = this.#weights[i] as number;
      if (weight < threshold) continue;
      if (weight === threshold) {
        if (mass >= target) continue;
        mass += weight;
      }
      total += weight;
      this.#keep(i, kept++);
    }
    this.#count = kept;
    this.#total = total;
  }

  /** Leaves those at least `minP` times as likely as the likeliest. */
  keepAtLeast(minP: number): void {
    let kept = 0;
    let total = 0;
    for (let i = 0; i < this.#count; i++) {
      const weight = this.#weights[i] as number;
      if (weight < minP) continue;
      total += weight;
      this.#keep(i, kept++);
    }
    this.#count = kept;
    this.#total = total;
  }

  /** Leaves those whose information content is nearest to the entropy, up to a mass of `typicalP`. */
  keepTypical(typicalP: number): void {
    this.#typical ??= new TypicalCut(this.#vocabSize);
    this.#count = this.#typical.apply(this.#ids, this.#weights, this.#count, typicalP);
    this.#total = 0;
    for (let i = 0; i < this.#count; i++) this.#total += this.#weights[i] as number;
  }

  /** One of them, as likely as its weight is of all. @param uniform in [0, 1) */
  draw(uniform: number): number {
    let left = uniform * this.#total;
    let last = 0;
    for (let i = 0; i < this.#count; i++) {
      const weight = this.#weights[i] as number;
      left -= weight;
      if (left < 0) return this.#ids[i] as number;
      if (weight > 0) last = i;
    }
    // The subtractions rounded differently from the sum: the draw fell off the end by a rounding error.
    return this.#ids[last] as number;
  }

  /** The largest weight such that what weighs at least as much adds up to `target`, and the mass of what weighs more. */
  #cut(target: number): { threshold: number; mass: number } {
    const weights = this.#weights;
    const partition = this.#partition;
    const masses = this.#masses.fill(0);
    for (let i = 0; i < this.#count; i++) {
      const bin = this.#binOf(i);
      masses[bin] = (masses[bin] as number) + (weights[i] as number);
    }
    let last = 0;
    let mass = 0;
    while (last < BINS - 1 && mass + (masses[last] as number) < target) mass += masses[last++] as number;
    // Only the bin in which the mass is reached has to be looked at closely.
    let contenders = 0;
    for (let i = 0; i < this.#count; i++) if (this.#binOf(i) === last) partition[contenders++] = weights[i] as number;
    // Rounding alone can leave a little mass wanted after the smallest weight: then all of them are needed.
    if (contenders === 0) return { threshold: 0, mass };
    const threshold = massThreshold(partition, contenders, target - mass);
    for (let i = 0; i < contenders; i++) if ((partition[i] as number) > threshold) mass += partition[i] as number;
    return { threshold, mass };
  }

  #binOf(candidate: number): number {
    return FIRST_BIN - ((this.#words[2 * candidate + 1] as number) >>> 16);
  }

  #keep(from: number, to: number): void {
    this.#ids[to] = this.#ids[from] as number;
    this.#weights[to] = this.#weights[from] as number;
  }
}
