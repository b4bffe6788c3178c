import { VitrineError } from "../errors.js";
import type { RowLogits } from "./runner.js";
import { positionLogprobs } from "./sampling/logprobs.js";
import { Sampler } from "./sampling/sampler.js";
import type { Plan } from "./scheduling/plan.js";
import type { StepResults } from "./scheduling/scheduler.js";
import type { Sequence } from "./scheduling/sequence.js";
import type { Choice } from "./scheduling/sequence-pool.js";

/** Makes tokens of a step's logits. */
export class TokenChooser {
  readonly #vocabSize: number;
  readonly #sampler: Sampler;

  constructor(vocabSize: number) {
    this.#vocabSize = vocabSize;
    this.#sampler = new Sampler(vocabSize);
  }

  /** Reads the step's logits; a row without a token fails alone. */
  results(plan: Plan, logits: readonly RowLogits[]): StepResults {
    const size = this.#vocabSize;
    const at = (row: number, position: number): Float32Array =>
      (logits[row] as RowLogits).all().subarray(position * size, (position + 1) * size);
    return {
      choose: (row, position) =>
        orError(() => {
          const sequence = plan.sequences[row] as Sequence;
          return this.#chooseTop(logits[row] as RowLogits, sequence) ?? this.#choose(at(row, position), sequence);
        }),
      score: (row, position, token) => {
        const { logprobs = 0 } = (plan.sequences[row] as Sequence).request;
        return orError(() => positionLogprobs(at(row, position), token, logprobs));
      },
    };
  }

  /** From the likeliest tokens, where the runner has them at hand and they tell. */
  #chooseTop({ top }: RowLogits, sequence: Sequence): Choice | undefined {
    const token = top && this.#sampler.sampleTop(top, sequence);
    return token === undefined ? undefined : { token };
  }

  #choose(logits: Float32Array, sequence: Sequence): Choice {
    const { logprobs: top } = sequence.request;
    if (top === undefined) return { token: this.#sampler.sample(logits, sequence) };
    const logprobs = this.#sampler.sampleWithLogprobs(logits, sequence, top);
    return { token: logprobs.token, logprobs };
  }
}

function orError<T>(read: () => T): T | VitrineError {
  try {
    return read();
  } catch (thrown) {
    return VitrineError.from(thrown, "inference_failed");
  }
}
