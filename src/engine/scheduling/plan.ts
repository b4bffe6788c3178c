import { MOST_SCORED, type RunnerRow } from "../runner.js";
import type { Sequence } from "./sequence.js";
import type { StepCosts, StepWork } from "./step-costs.js";

/** What one step runs: `rows[i]` feeds `sequences[i]`. */
export interface Plan {
  readonly phase: "prefill" | "decode";
  readonly sequences: readonly Sequence[];
  readonly rows: readonly RunnerRow[];
  readonly work: StepWork;
  /** What it should take, in milliseconds, once enough steps were seen. */
  readonly expectedMs?: number;
}

export function makePlan(
  phase: Plan["phase"],
  sequences: readonly Sequence[],
  rows: readonly RunnerRow[],
  costs: StepCosts,
): Plan {
  const work = workOf(phase, rows);
  const expectedMs = costs.predict(work);
  return { phase, sequences, rows, work, ...(expectedMs === undefined ? {} : { expectedMs }) };
}

/** The sequence's next `most` tokens at most; logits after the last one known, or after each that is to be scored. */
export function prefillRow(sequence: Sequence, most: number): RunnerRow {
  const { cached, tokens, uncached } = sequence;
  const scored = sequence.scores;
  const count = Math.min(uncached, most, scored ? MOST_SCORED : uncached);
  const last = count === uncached ? 1 : 0;
  const fed = tokens.view(cached, cached + count);
  const logits = scored ? count : last;
  return { slot: slotOf(sequence), tokens: fed, past: cached, logits, top: !scored && sequence.contentWithTop };
}

/** The sequence's last token and the guesses after it, with logits after each. */
export function decodeRow(sequence: Sequence): RunnerRow {
  const { cached, draft } = sequence;
  let tokens = sequence.tokens.view(cached);
  if (draft.length > 0) {
    tokens = new Int32Array(1 + draft.length);
    tokens[0] = sequence.tokens.at(cached);
    tokens.set(draft, 1);
  }
  const top = draft.length === 0 && sequence.contentWithTop;
  return { slot: slotOf(sequence), tokens, past: cached, logits: tokens.length, top };
}

function workOf(phase: Plan["phase"], rows: readonly RunnerRow[]): StepWork {
  let tokens = 0;
  let attended = 0;
  for (const row of rows) {
    tokens += row.tokens.length;
    attended += row.tokens.length * (row.past + row.tokens.length);
  }
  return { phase, rows: rows.length, tokens, attended };
}

function slotOf({ slot }: Sequence): number {
  if (slot === undefined) throw new Error("A sequence without a slot was planned");
  return slot;
}
