import type { WireError } from "../errors.js";
import type { Micros, StepStats } from "../protocol.js";
import type { StepTiming } from "./scheduling/forward-timings.js";
import type { Plan } from "./scheduling/plan.js";

export function stepTiming({ rows, work, expectedMs }: Plan, number: number, start: Micros, end: Micros): StepTiming {
  const expected = expectedMs === undefined ? {} : { expectedMs };
  return { number, start, end, batchSize: rows.length, tokensFed: work.tokens, ...expected };
}

/** What is told of a step; undefined when none of its requests asked for that. */
export function stepStats(plan: Plan, step: StepTiming, error?: WireError): StepStats | undefined {
  const recorded = plan.sequences.filter(({ request }) => request.recordSteps);
  if (recorded.length === 0) return undefined;
  const { number, start, end, batchSize, tokensFed: tokens, expectedMs } = step;
  return {
    number,
    phase: plan.phase,
    start,
    end,
    batchSize,
    tokens,
    contextTokens: plan.rows.reduce((sum, row) => sum + row.past + row.tokens.length, 0),
    ...(expectedMs === undefined ? {} : { expectedMs }),
    requests: recorded.map(({ id }) => id),
    ...(error === undefined ? {} : { error }),
  };
}
