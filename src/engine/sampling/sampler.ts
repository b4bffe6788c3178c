import { VitrineError } from "../../errors.js";
import type { PositionLogprobs, SamplingParams } from "../../protocol.js";
import { TOP_LOGITS, type TopLogits } from "../runner.js";
import { argMax } from "./arg-max.js";
import { brokenLogits } from "./broken-logits.js";
import type { TokenConstraint } from "./constraint.js";
import { positionLogprobs } from "./logprobs.js";
import type { Random } from "./random.js";
import { kthLargest, massThreshold } from "./select.js";
import type { TokenCounts } from "./token-counts.js";
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

/** What one sequence brings to the choice of its next token. */
export interface SamplingState {
  readonly params: SamplingParams;
  readonly random: Pick<Random, "nextFloat">;
  /** Undefined when no penalty is set. */
  readonly counts: TokenCounts | undefined;
  /** Ids that may not be chosen now: what ends the sequence, while it has fewer than `minTokens` tokens. */
  readonly suppressed: readonly number[] | undefined;
  /** Rules out what a grammar does not allow next. */
  readonly constraint?: Pick<TokenConstraint, "mask"> | undefined;
}

/** Whether the likeliest logits as the model gave them will probably do to choose the next token. */
export function isContentWithTop({ params, counts, suppressed, constraint }: SamplingState): boolean {
  const untouched = counts === undefined && suppressed === undefined && constraint === undefined;
  const few = params.temperature === 0 || (params.topK > 0 && params.topK < TOP_LOGITS);
  return untouched && params.logitBias.length === 0 && few;
}

/**
 * Logits to a token id. The order is logit_bias, min_tokens, grammar, penalties, temperature, top_k, top_p, min_p, typical_p,
 * then one draw, as Hugging Face transformers' logits processors and warpers do it; each cut sees the distribution
 * renormalised over what the cut before it left.
 *
 * - logit_bias adds to the logits of the tokens it names (OpenAI); min_tokens then rules out those that would end the
 *   sequence.
 * - Repetition (CTRL, arXiv:1909.05858): logits of tokens in the prompt or the output are divided by the penalty when
 *   positive, else multiplied. Then frequency x count and presence are subtracted, counting the output only (OpenAI).
 * - Temperature 0 takes the likeliest token, of equals the lowest id, and draws nothing.
 * - top_k keeps the k likeliest and everything tied with the k-th.
 * - top_p (arXiv:1904.09751) keeps the fewest likeliest tokens whose mass reaches p, of equals the lowest ids.
 * - min_p (arXiv:2407.01082) keeps tokens at least min_p times as likely as the likeliest.
 * - typical_p (arXiv:2202.00666) keeps the tokens whose information content is nearest to the entropy, the fewest whose
 *   mass reaches p, and everything as near as the last of them; the likeliest may be cut.
 * - The draw walks the survivors by ascending id, with exactly one random number a token, so a rounding difference
 *   in the logits moves the borders of the walk and never reorders it.
 *
 * Scratch is allocated once, for the vocabulary; nothing is sorted.
 */
export class Sampler {
  readonly #vocabSize: number;
  readonly #ids: Int32Array;
  readonly #weights: Float64Array;
  /** The halves of `#weights`, the upper one second. */
  readonly #words: Uint32Array;
  /** Of the weights in each bin. */
  readonly #masses = new Float64Array(BINS);
  readonly #partition: Float64Array;
  readonly #heap: Float32Array;
  /** Candidates in `#ids` and `#weights`. */
  #count = 0;
  #typical: TypicalCut | undefined;
  #raw: Float32Array | undefined;
  /** Their weights' sum. */
  #total = 0;

  constructor(vocabSize: number) {
    this.#vocabSize = vocabSize;
    this.#ids = new Int32Array(vocabSize);
    this.#weights = new Float64Array(vocabSize);
    this.#words = new Uint32Array(this.#weights.buffer);
    this.#partition = new Float64Array(vocabSize);
    this.#heap = new Float32Array(vocabSize);
  }

  /**
   * A token as `sample` chooses it, with its log probability and those of the `top` likeliest. They are the model's own:
   * of the logits before bias, penalties and temperature (as OpenAI's, and vLLM's unless told otherwise).
   */
  sampleWithLogprobs(logits: Float32Array, state: SamplingState, top: number): PositionLogprobs {
    this.#raw ??= new Float32Array(this.#vocabSize);
    const raw = this.#raw;
    if (logits.length === raw.length) raw.set(logits);
    return positionLogprobs(raw, this.sample(logits, state), top);
  }

  /**
   * @param logits `vocabSize` numbers; biases and penalties are written into it
   * @throws VitrineError `inference_failed` when a logit is NaN or none is a finite maximum
   */
  sample(logits: Float32Array, state: SamplingState): number {
    if (logits.length !== this.#vocabSize) {
      throw new VitrineError(
        "inference_failed",
        `The model returned ${logits.length} logits for a vocabulary of ${this.#vocabSize}; its config.json and its graph disagree.`,
      );
    }
    const { params } = state;
    // A grammar may leave nothing but the end, however early.
    adjust(logits, params.logitBias, state.constraint === undefined ? state.suppressed : undefined);
    state.constraint?.mask(logits);
    state.counts?.penalize(logits, params);
    const likeliest = argMax(logits);
    if (params.temperature === 0) return likeliest;
    this.#gather(logits, logits[likeliest] as number, params);
    return this.#cutAndDraw(state);
  }

  /**
   * The token that `sample` would choose, from the likeliest ones alone; undefined where they do not tell, as what is
   * equally likely as the last that top_k keeps, or as the likeliest where temperature is 0, may go on beyond them. Only where `isContentWithTop`.
   * @throws VitrineError `inference_failed` when the likeliest logit is not a finite number
   */
  sampleTop({ ids, logits }: TopLogits, state: SamplingState): number | undefined {
    const { temperature, topK } = state.params;
    const max = logits[0] as number;
    if (!Number.isFinite(max)) throw brokenLogits(Number.isNaN(max) ? "contain NaN" : "have no finite maximum");
    // Greedy is the first of one, but for what ties with it: a device gives equals in any order.
    const kth = temperature === 0 ? max : logits[topK - 1];
    if (kth === undefined || (kth === logits.at(-1) && ids.length < this.#vocabSize)) return undefined;
    if (temperature === 0) return Math.min(...ids.subarray(0, logits.lastIndexOf(max) + 1));
    const floor = Math.max(max - REACH * temperature, kth);
    const kept = logits.findLastIndex((logit) => logit >= floor) + 1;
    // By ascending id, as `sample` has them, so that the same random number draws the same token.
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
    return this.#cutAndDraw(state);
  }

  #cutAndDraw({ params, random }: SamplingState): number {
    if (params.topP < 1) this.#keepNucleus(params.topP);
    if (params.minP > 0) this.#keepAtLeast(params.minP);
    if (params.typicalP < 1) this.#keepTypical(params.typicalP);
    return this.#draw(random.nextFloat());
  }

  /** Makes candidates of the top k, weighted by their probability relative to the likeliest token's. */
  #gather(logits: Float32Array, max: number, { temperature, topK, topP, minP }: SamplingParams): void {
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

  #keepNucleus(topP: number): void {
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

  #keepAtLeast(minP: number): void {
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

  #keepTypical(typicalP: number): void {
    this.#typical ??= new TypicalCut(this.#vocabSize);
    this.#count = this.#typical.apply(this.#ids, this.#weights, this.#count, typicalP);
    this.#total = 0;
    for (let i = 0; i < this.#count; i++) this.#total += this.#weights[i] as number;
  }

  #keep(from: number, to: number): void {
    this.#ids[to] = this.#ids[from] as number;
    this.#weights[to] = this.#weights[from] as number;
  }

  /** @param uniform in [0, 1) */
  #draw(uniform: number): number {
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
}

function adjust(
  logits: Float32Array,
  bias: SamplingParams["logitBias"],
  suppressed: readonly number[] | undefined,
): void {
  // Past the end of a typed array nothing is written.
  for (const [token, value] of bias) logits[token] = (logits[token] as number) + value;
  if (suppressed !== undefined) for (const token of suppressed) logits[token] = Number.NEGATIVE_INFINITY;
}
