import type { RunnerRow } from "../../engine/runner.js";
import { VitrineError } from "../../errors.js";
import type { ModelDescription } from "../../protocol.js";

export interface PlanLimits {
  readonly model: Pick<ModelDescription, "vocabSize" | "contextLength">;
  readonly slots: number;
  /** Tokens in a slot. */
  readonly lengthOf: (slot: number) => number;
}

/** The scheduler keeps these; breaking one would corrupt a sequence silently. Throws `inference_failed`. */
export function checkRows(rows: readonly RunnerRow[], limits: PlanLimits): void {
  for (const row of rows) checkRow(row, limits);
  if (new Set(rows.map(({ slot }) => slot)).size < rows.length) throw planError("a slot is in it twice");
}

function checkRow({ slot, tokens, past }: RunnerRow, { model, slots, lengthOf }: PlanLimits): void {
  const { vocabSize, contextLength } = model;
  const end = past + tokens.length;
  const held = lengthOf(slot);
  if (!(slot >= 0 && slot < slots)) throw planError(`slot ${slot} is not one of ${slots}`);
  if (tokens.length === 0) throw planError(`slot ${slot} was given no tokens`);
  if (end > contextLength) throw planError(`slot ${slot} would hold ${end} tokens; the context is ${contextLength}`);
  if (past > held) throw planError(`slot ${slot} holds ${held} tokens, not ${past}`);
  if (tokens.some((id) => id < 0 || id >= vocabSize)) {
    throw planError(`a token id is outside the vocabulary of ${vocabSize}`);
  }
}

export function planError(what: string): VitrineError {
  return new VitrineError("inference_failed", `A step was planned wrongly: ${what}.`);
}
