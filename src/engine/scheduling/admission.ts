import type { KvCache } from "../cache/kv-cache.js";
import { commonPrefix } from "../cache/prefix.js";
import type { Sequence } from "./sequence.js";
import type { SequencePool } from "./sequence-pool.js";
import type { StepPlanner } from "./step-planner.js";

/** A prefix this much longer, which another request is computing right now, is worth waiting for. */
const WORTH_WAITING = 16;

export interface AdmissionOptions {
  readonly cache: KvCache;
  /** The runner can go back, as guesses and prefixes shared with a running request need it. */
  readonly rewinds: boolean;
}

/** Who may leave the queue: its first, once memory, the streams' pace and what it could share with others allow it. */
export class Admission {
  constructor(
    private readonly pool: SequencePool,
    private readonly planner: Pick<StepPlanner, "admits">,
    private readonly options: AdmissionOptions,
  ) {}

  /** Gives the first in the queue a slot, if there is cache for it. */
  next(): Sequence | undefined {
    const { waiting, running } = this.pool;
    for (;;) {
      const sequence = waiting.first;
      if (sequence === undefined) return undefined;
      if (this.pool.short) this.pool.lacksMemory(sequence);
      if (!this.#mayAdmit(sequence)) return undefined;
      if (this.pool.admit(sequence)) return sequence;
      if (running.size > 0) return undefined;
      this.pool.failForMemory(sequence);
    }
  }

  #mayAdmit(sequence: Sequence): boolean {
    if (this.pool.short || !this.planner.admits(this.pool.running.comingLoad)) return false;
    return !this.options.rewinds || !this.#prefixIsComing(sequence);
  }

  /** Another request is computing what this one could share. */
  #prefixIsComing(sequence: Sequence): boolean {
    const wanted = sequence.tokens.view(0, sequence.tokens.length - 1);
    let coming = 0;
    for (const other of this.pool.running.prefilling) {
      if (other.salt === sequence.salt) coming = Math.max(coming, commonPrefix(other.tokens.view(), wanted));
    }
    return coming > WORTH_WAITING && coming > this.options.cache.reusable(sequence) + WORTH_WAITING;
  }
}
