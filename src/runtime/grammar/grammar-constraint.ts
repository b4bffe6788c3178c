import type { TokenConstraint } from "../../engine/sampling/constraint.js";
import { VitrineError } from "../../errors.js";
import { TooComplex } from "./derivatives.js";
import type { Expr } from "./expression.js";
import type { TokenMasks } from "./token-masks.js";
import { forbidOthers, type TokenSet } from "./token-set.js";
import type { VocabularyTables } from "./vocabulary-worker.js";

/** One output's place in a grammar. */
export class GrammarConstraint implements TokenConstraint {
  readonly #empty: Expr;
  #state: Expr;

  constructor(
    private readonly masks: TokenMasks,
    private readonly tables: Pick<VocabularyTables, "bytes" | "starts">,
    private readonly stopTokenIds: readonly number[],
    start: Expr,
  ) {
    this.#empty = masks.derivatives.exprs.empty;
    this.#state = start;
  }

  get complete(): boolean {
    return this.#state === this.#empty;
  }

  mask(logits: Float32Array): void {
    const stops = this.stopTokenIds.map((id) => logits[id] ?? Number.NEGATIVE_INFINITY);
    forbidOthers(logits, this.#allowed());
    const mayEnd = this.#state.nullable;
    this.stopTokenIds.forEach((id, i) => {
      logits[id] = mayEnd ? (stops[i] as number) : Number.NEGATIVE_INFINITY;
    });
  }

  accept(token: number): void {
    const { bytes, starts } = this.tables;
    const { derivatives } = this.masks;
    derivatives.budget = Number.POSITIVE_INFINITY;
    const next = derivatives.run(this.#state, bytes.subarray(starts[token] ?? 0, starts[token + 1] ?? 0));
    if (next === derivatives.exprs.never) {
      throw new VitrineError(
        "internal",
        "A token was chosen that the grammar forbids: the mask and the sampler disagree.",
      );
    }
    this.#state = next;
  }

  #allowed(): TokenSet {
    try {
      return this.masks.of(this.#state);
    } catch (thrown) {
      if (!(thrown instanceof TooComplex)) throw thrown;
      throw new VitrineError(
        "inference_failed",
        "The format asked for is too complex at this point of the answer: simplify its patterns and alternatives.",
      );
    }
  }
}
