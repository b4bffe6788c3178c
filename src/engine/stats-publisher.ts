import type { EngineStats, Micros } from "../protocol.js";
import type { KvCache } from "./cache/kv-cache.js";
import type { MemoryPool } from "./cache/memory-pool.js";
import type { StepTiming } from "./scheduling/forward-timings.js";
import type { Scheduler } from "./scheduling/scheduler.js";

/** Four times a second is enough for a gauge of a busy engine. */
const INTERVAL: Micros = 250_000;

interface StatsSources {
  readonly scheduler: Pick<Scheduler, "waiting" | "running" | "preemptions" | "expectedDecodeMs">;
  readonly cache: Pick<KvCache, "tokensReserved" | "tokensKept" | "tokensEvicted" | "tokensTotal"> & {
    readonly pool: Pick<MemoryPool, "cells" | "growths" | "refusals" | "growing">;
  };
  readonly kvBytesPerToken: number;
  readonly clock: () => Micros;
}

/**
 * Keeps the engine's gauges, and hands them out only when they changed and not too often. That nothing is left to do is
 * told at once, so that whoever has the last answer does not read that it is still running.
 */
export class StatsPublisher {
  readonly #sources: StatsSources;
  readonly #startedAt: Micros;
  #busy: Micros = 0;
  #steps = 0;
  #last: EngineStats | undefined;
  #lastAt: Micros = 0;

  constructor(sources: StatsSources) {
    this.#sources = sources;
    this.#startedAt = sources.clock();
  }

  addStep({ start, end }: StepTiming): void {
    this.#busy += end - start;
    this.#steps++;
  }

  /** The gauges, if they are due. */
  take(): EngineStats | undefined {
    const now = this.#sources.clock();
    if (!this.#changed() || !this.#due(now)) return undefined;
    this.#lastAt = now;
    this.#last = this.#read(now);
    return this.#last;
  }

  #due(now: Micros): boolean {
    const { waiting, running } = this.#sources.scheduler;
    return this.#last === undefined || waiting + running === 0 || now >= this.#lastAt + INTERVAL;
  }

  /** Idle time alone is no change: it would have to be sent for ever. */
  #changed(): boolean {
    const { scheduler, cache } = this.#sources;
    const last = this.#last;
    return (
      last === undefined ||
      last.steps !== this.#steps ||
      last.waiting !== scheduler.waiting ||
      last.running !== scheduler.running ||
      last.kvTokensReserved !== cache.tokensReserved
    );
  }

  #read(now: Micros): EngineStats {
    const { scheduler, cache, kvBytesPerToken } = this.#sources;
    return {
      waiting: scheduler.waiting,
      running: scheduler.running,
      kvTokensReserved: cache.tokensReserved,
      kvTokensTotal: cache.tokensTotal,
      kvTokensKept: cache.tokensKept,
      kvTokensEvicted: cache.tokensEvicted,
      kvBytesAllocated: cache.pool.cells * kvBytesPerToken,
      kvBytesTotal: cache.tokensTotal * kvBytesPerToken,
      kvGrowths: cache.pool.growths,
      kvRefusals: cache.pool.refusals,
      kvGrowthSeconds: cache.pool.growing / 1e6,
      preemptions: scheduler.preemptions,
      expectedStepMs: scheduler.expectedDecodeMs ?? 0,
      busySeconds: this.#busy / 1e6,
      idleSeconds: (now - this.#startedAt - this.#busy) / 1e6,
      steps: this.#steps,
    };
  }
}
