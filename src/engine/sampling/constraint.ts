import type { Grammar, Micros } from "../../protocol.js";

/** What one output may still be. It follows the output token by token, and belongs to one sequence. */
export interface TokenConstraint {
  /**
   * Forbids, by writing minus infinity, every token that the output cannot go on with, and the stop ids where it may
   * not end. Something is always left.
   * @param logits one row; throws VitrineError `inference_failed` when the grammar proves too complex
   */
  mask(logits: Float32Array): void;
  /** The token was chosen; stop ids are not told. */
  accept(token: number): void;
  /** Nothing may follow: the output ends here, with or without a stop id. */
  readonly complete: boolean;
}

/** A constraint, and when its grammar was compiled. */
export interface CompiledConstraint {
  readonly constraint: TokenConstraint;
  readonly at: Micros;
}

export interface ConstraintCompiler {
  /**
   * A constraint for one request.
   * @param stopTokenIds ids that end the output: allowed where the grammar lets it end, and nowhere else
   * @throws VitrineError `invalid_request` for a grammar that cannot be held to, `model_unsupported` for a tokenizer
   */
  compile(grammar: Grammar, stopTokenIds: readonly number[]): Promise<TokenConstraint>;
}
