import { VitrineError } from "../../errors.js";
import type { PositionLogprobs, SamplingParams } from "../../protocol.js";
import { TOP_LOGITS, type TopLogits } from "../runner.js";
import { argMax } from "./arg-max.js";
import { brokenLogits } from "./broken-logits.js";
import { Candidates } from "./candidates.js";
import type { TokenConstraint } from "./constraint.js";
import { positionLogprobs } from "./logprobs.js";
import type { Random } from "./random.js";
import type { TokenCounts } from "./token-counts.js";

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
 */
export class Sampler {
  readonly #vocabSize: number;
  readonly #candidates: Candidates;
  #raw: Float32Array | undefined;

  constructor(vocabSize: number) {
    this.#vocabSize = vocabSize;
    this.#candidates = new Candidates(vocabSize);
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
    this.#candidates.gather(logits, logits[likeliest] as number, params);
    return this.#cutAndDraw(state);
  }

  /**
   * The token that `sample` would choose, from the likeliest ones alone; undefined where they do not tell, as what is
   * equally likely as the last that top_k keeps, or as the likeliest where temperature is 0, may go on beyond them. Only where `isContentWithTop`.
   * @throws VitrineError `inference_failed` when the likeliest logit is not a finite number
   */
  sampleTop(top: TopLogits, state: SamplingState): number | undefined {
    const max = top.logits[0] as number;
    if (!Number.isFinite(max)) throw brokenLogits(Number.isNaN(max) ? "contain NaN" : "have no finite maximum");
    if (state.params.temperature === 0) return this.#likeliestOf(top);
    return this.#candidates.gatherTop(top, state.params) ? this.#cutAndDraw(state) : undefined;
  }

  /** The first of those that tie, since a device gives equals in any order; undefined where they may go on beyond the last. */
  #likeliestOf({ ids, logits }: TopLogits): number | undefined {
    const max = logits[0] as number;
    if (max === logits.at(-1) && ids.length < this.#vocabSize) return undefined;
    return Math.min(...ids.subarray(0, logits.lastIndexOf(max) + 1));
  }

  #cutAndDraw({ params, random }: SamplingState): number {
    const candidates = this.#candidates;
    if (params.topP < 1) candidates.keepNucleus(params.topP);
    if (params.minP > 0) candidates.keepAtLeast(params.minP);
    if (params.typicalP < 1) candidates.keepTypical(params.typicalP);
    return candidates.draw(random.nextFloat());
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
