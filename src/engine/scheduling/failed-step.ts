import type { WireError } from "../../errors.js";
import type { Micros } from "../../protocol.js";
import type { Plan } from "./plan.js";
import type { SequencePool } from "./sequence-pool.js";

/**
 * What becomes of the requests of a step whose run failed. Prompts that shared it are tried again, each alone, so that one
 * that is too large for the device fails by itself. Streams that were too many for its memory are tried again half at a
 * time. All others fail, and what they reserved is free again.
 */
export function endFailedStep(plan: Plan, pool: SequencePool, error: WireError, at: Micros): void {
  const shared = plan.sequences.length > 1;
  if (shared && plan.phase === "prefill") retryAlone(plan);
  else if (shared && error.code === "out_of_memory") retryByHalves(plan, pool);
  else for (const sequence of plan.sequences) pool.end(sequence, { kind: "failed", error }, at);
}

function retryAlone({ sequences }: Plan): void {
  for (const sequence of sequences) {
    sequence.alone = true;
    // Some may have got further than others.
    sequence.restart();
  }
}

/** What they had is computed again: nobody knows how far the run got. The oldest come first. */
function retryByHalves({ sequences }: Plan, pool: SequencePool): void {
  const youngestFirst = [...sequences].sort((a, b) => b.arrival - a.arrival);
  for (const sequence of youngestFirst) pool.preempt(sequence, "run");
  pool.admitAtMost(Math.floor(sequences.length / 2));
}
