/**
 * Bytes that cross the bus in a decode step: computed from what each runner binds or feeds, not measured. Of the graphs
 * of this check, whose inputs are ids and, in place of a mask, lengths.
 */
import { TOP_LOGITS } from "../../../src/engine/runner.js";
import type { ModelDescription } from "../../../src/protocol.js";

const ID_BYTES = 8;
const LENGTH_BYTES = 4;
/** Of an id that the device chose. */
const CHOSEN_BYTES = 4;

export interface StepSize {
  readonly rows: number;
  /** Tokens that each row holds before the step. */
  readonly context: number;
}

type Sizes = Pick<ModelDescription, "vocabSize" | "kvBytesPerToken">;

/** In go ids and lengths; the cache stays; out come the likeliest candidates, or the rows of logits where `wholeRows`. */
export function nativeBusBytes(
  { vocabSize }: Sizes,
  { rows }: StepSize,
  logitBytes: number,
  wholeRows = false,
): number {
  const candidates = Math.min(TOP_LOGITS, vocabSize) * (logitBytes + CHOSEN_BYTES);
  return rows * (ID_BYTES + LENGTH_BYTES + (wholeRows ? vocabSize * logitBytes : candidates));
}

/** In go ids, a mask and the whole cache; out come the whole cache and the row of logits. */
export function nodeBusBytes({ vocabSize, kvBytesPerToken }: Sizes, step: StepSize, logitBytes: number): number {
  const { rows, context } = step;
  const mask = (context + 1) * ID_BYTES;
  return rows * (ID_BYTES + mask + (2 * context + 1) * kvBytesPerToken + vocabSize * logitBytes);
}
