import { VitrineError } from "../errors.js";
import type { PositionLogprobs, SamplingParams } from "../protocol.js";
import { brokenLogits } from "./broken-logits.js";
import type { TokenConstraint } from "./constraint.js";
import { positionLogprobs } from "./logprobs.js";
import type { Random } from "./random.js";
import { kthLargest, massThreshold } from "./select.js";
import type { TokenCounts } from "./token-counts.js";
import { TypicalCut } from "./typical-cut.js";

/** What one sequence brings to the choice of its next token. */
export interface SamplingState {
  readonly params: SamplingParams;
  readonly random: Pick<Random, "nextFloat">;
  /** Undefined when no penalty is set. */
  readonly counts: TokenCounts | undefined;
  /** Ids that may not be chosen now: what ends the sequence, while it has fewer than `minTokens` tokens. */
  readonly suppressed?: readonly number[] | undefined;
  /** Rules out what a grammar does not allow next. */
  readonly constraint?: Pick<TokenConstraint, "mask"> | undefined;
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
  readonly #partition: Float64Array;
  readonly #heap: Float32Array;
  /** Candidates in `#ids` and `#weights`. */
  #count = 0;
  #typical: TypicalCut | undefined;
  #raw: Float32Array | undefined;

  constructor(vocabSize: number) {
    this.#vocabSize = vocabSize;
    this.#ids = new Int32Array(vocabSize);
    this.#weights = new Float64Array(vocabSize);
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
    const { params, random } = state;
    adjust(logits, params.logitBias, state.suppressed);
    state.constraint?.mask(logits);
    state.counts?.penalize(logits, params);
    const likeliest = argMax(logits);
    if (params.temperature === 0) return likeliest;
    this.#gather(logits, logits[likeliest] as number, params);
    if (params.topP < 1) this.#keepNucleus(params.topP);
    if (params.minP > 0) this.#keepAtLeast(params.minP);
    if (params.typicalP < 1) this.#keepTypical(params.typicalP);
    return this.#draw(random.nextFloat());
  }

  /** Makes candidates of the top k, weighted by their probability relative to the likeliest token's. */
  #gather(logits: Float32Array, max: number, { temperature, topK, topP, minP }: SamplingParams): void {
    let floor = Number.NEGATIVE_INFINITY;
    if (topK > 0 && topK < logits.length) floor = kthLargest(logits, logits.length, topK, this.#heap);
    // Without a nucleus in between, min_p's cut can spare the exponentials; the exact cut follows.
    if (topP >= 1 && minP > 0) floor = Math.max(floor, max + temperature * (Math.log(minP) - 1e-9));
    const ids = this.#ids;
    const weights = this.#weights;
    let count = 0;
    for (let id = 0; id < logits.length; id++) {
      const logit = logits[id] as number;
      if (logit >= floor) {
        ids[count] = id;
        weights[count++] = Math.exp((logit - max) / temperature);
      }
    }
    this.#count = count;
  }

  #keepNucleus(topP: number): void {
    const weights = this.#weights;
    const target = topP * this.#total();
    // All tokens below this weight together have less than the mass to cut, so the threshold is not among them.
    const floor = (this.#total() - target) / this.#count;
    const partition = this.#partition;
    let contenders = 0;
    for (let i = 0; i < this.#count; i++) {
      const weight = weights[i] as number;
      if (weight >= floor) partition[contenders++] = weight;
    }
    const threshold = massThreshold(partition, contenders, target);
    let mass = 0;
    for (let i = 0; i < this.#count; i++) {
      const weight = weights[i] as number;
      if (weight > threshold) mass += weight;
    }
    let kept = 0;
    for (let i = 0; i < this.#count; i++) {
      const weight = weights[i] as number;
      if (weight < threshold) continue;
      if (weight === threshold) {
        if (mass >= target) continue;
        mass += weight;
      }
      this.#keep(i, kept++);
    }
    this.#count = kept;
  }

  #keepAtLeast(minP: number): void {
    let kept = 0;
    for (let i = 0; i < this.#count; i++) {
      if ((this.#weights[i] as number) >= minP) this.#keep(i, kept++);
    }
    this.#count = kept;
  }

  #keepTypical(typicalP: number): void {
    this.#typical ??= new TypicalCut(this.#vocabSize);
    this.#count = this.#typical.apply(this.#ids, this.#weights, this.#count, typicalP);
  }

  #keep(from: number, to: number): void {
    this.#ids[to] = this.#ids[from] as number;
    this.#weights[to] = this.#weights[from] as number;
  }

  #total(): number {
    let total = 0;
    for (let i = 0; i < this.#count; i++) total += this.#weights[i] as number;
    return total;
  }

  /** @param uniform in [0, 1) */
  #draw(uniform: number): number {
    let left = uniform * this.#total();
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

/** Index of the largest logit, the first of equals. */
function argMax(logits: Float32Array): number {
  let max = Number.NEGATIVE_INFINITY;
  let index = -1;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] as number;
    // One comparison for nearly every token: NaN fails it too, and is told apart within.
    if (!(logit <= max)) {
      if (Number.isNaN(logit)) throw brokenLogits("contain NaN");
      max = logit;
      index = id;
    }
  }
  if (index < 0) throw brokenLogits("are all minus infinity");
  if (max === Number.POSITIVE_INFINITY) throw brokenLogits("contain infinity");
  return index;
}
