import type { SamplingParams } from "../../protocol.js";

/** The tokens of one sequence, as the penalties see them: which it has, and how often its output has them. */
export class TokenCounts {
  /** Times in the output; 0 for a token of the prompt alone. */
  readonly #inOutput = new Map<number, number>();

  private constructor(prompt: Int32Array) {
    for (const token of prompt) this.#inOutput.set(token, 0);
  }

  /** Undefined when no penalty is set: such a sequence need not count. */
  static for(params: SamplingParams, prompt: Int32Array): TokenCounts | undefined {
    const { repetitionPenalty, presencePenalty, frequencyPenalty } = params;
    if (repetitionPenalty === 1 && presencePenalty === 0 && frequencyPenalty === 0) return undefined;
    // Only the repetition penalty looks at the prompt.
    return new TokenCounts(repetitionPenalty === 1 ? new Int32Array() : prompt);
  }

  add(token: number): void {
    this.#inOutput.set(token, (this.#inOutput.get(token) ?? 0) + 1);
  }

  /** Writes the penalties into the logits; see `Sampler` for their definition. */
  penalize(logits: Float32Array, { repetitionPenalty, presencePenalty, frequencyPenalty }: SamplingParams): void {
    this.#inOutput.forEach((count, token) => {
      const raw = logits[token];
      // A prompt may hold ids beyond the output vocabulary, e.g. of added tokens.
      if (raw === undefined) return;
      const repeated = raw > 0 ? raw / repetitionPenalty : raw * repetitionPenalty;
      logits[token] = repeated - frequencyPenalty * count - (count > 0 ? presencePenalty : 0);
    });
  }
}
