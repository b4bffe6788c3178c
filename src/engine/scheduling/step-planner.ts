import type { StepCosts } from "./step-costs.js";

export interface StepLimits {
  /** Most tokens of prompts in one step. */
  readonly prefillChunk: number;
  /** Longest time between two tokens of a stream, where it can be held. */
  readonly targetTpotMs?: number;
}

/** Running streams that wait while a prompt's chunk runs. */
export interface DecodeLoad {
  readonly rows: number;
  /** Tokens that all of them have together. */
  readonly context: number;
}

/** Fewer tokens a chunk would take as long: the weights are read for each. */
const LEAST_CHUNK = 16;

/** Chooses how much a step may do, from what steps are known to cost. */
export class StepPlanner {
  constructor(
    private readonly limits: StepLimits,
    private readonly costs: StepCosts,
  ) {}

  /** Most tokens of prompts in the next step, so that chunk and decode step together hold the target. */
  chunk(load: DecodeLoad, past: number): number {
    const { prefillChunk, targetTpotMs } = this.limits;
    if (targetTpotMs === undefined || load.rows === 0) return prefillChunk;
    const left = targetTpotMs - (this.decodeMs(load) ?? 0);
    let chunk = prefillChunk;
    while (chunk > LEAST_CHUNK && (this.#prefillMs(chunk, past) ?? 0) > left) chunk >>= 1;
    return Math.max(chunk, Math.min(LEAST_CHUNK, prefillChunk));
  }

  /** Whether one more stream can decode along with these within the target. */
  admits(load: DecodeLoad): boolean {
    const { targetTpotMs } = this.limits;
    if (targetTpotMs === undefined || load.rows === 0) return true;
    const more = { rows: load.rows + 1, context: load.context + load.context / load.rows };
    return (this.decodeMs(more) ?? 0) <= targetTpotMs;
  }

  /** What a decode step of these streams should take; undefined while too few were seen. */
  decodeMs({ rows, context }: DecodeLoad): number | undefined {
    if (rows === 0) return undefined;
    return this.costs.predict({ phase: "decode", rows, tokens: rows, attended: context });
  }

  #prefillMs(tokens: number, past: number): number | undefined {
    return this.costs.predict({ phase: "prefill", rows: 1, tokens, attended: tokens * (past + tokens) });
  }
}
