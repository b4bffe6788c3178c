/** The two ways to put load on a service, and the replay of a recorded one. */

import type { Budget } from "./budget.js";
import type { BenchClock } from "./clock.js";
import { Gate } from "./gate.js";

/** What a loop sends. A chat is one request, or several that wait for each other's answers. */
export interface Work {
  /**
   * Plays a chat whose first request is due at `intended`, already allowed by the budget; resolves with its end.
   * `ready` is when nothing but the harness held it back any more.
   */
  play(intended: number, ready: number): Promise<ChatEnd>;
}

export interface ChatEnd {
  readonly at: number;
  /** No connection came about: trying again at once would only spin. */
  readonly unreachable: boolean;
}

export interface LoopContext {
  readonly clock: BenchClock;
  readonly budget: Budget;
  readonly signal: AbortSignal;
}

const UNREACHABLE_PAUSE_MS = 100;

/** `concurrency` users, each of whom sends when the answer before is complete: a request is due when its user became free. */
export async function closedLoop(concurrency: number, work: Work, context: LoopContext): Promise<void> {
  const { clock, budget, signal } = context;
  const user = async (): Promise<void> => {
    for (let due = clock.now(); budget.take(due); ) {
      const end = await work.play(due, due);
      due = end.at;
      if (!end.unreachable) continue;
      due += UNREACHABLE_PAUSE_MS;
      await clock.until(due, signal);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, user));
}

/**
 * Sends at `times` (milliseconds from now), whatever became of the requests before. With `mostAtOnce`, those that find
 * no room wait, and their latency counts from when they were due.
 */
export async function openLoop(
  times: Iterable<number>,
  work: Work,
  context: LoopContext,
  mostAtOnce = Number.POSITIVE_INFINITY,
): Promise<void> {
  const { clock, budget, signal } = context;
  const start = clock.now();
  const gate = new Gate(mostAtOnce);
  const open = new Set<Promise<void>>();
  const play = async (due: number): Promise<void> => {
    const ready = (await gate.enter()) ? clock.now() : due;
    try {
      await work.play(due, ready);
    } finally {
      gate.leave();
    }
  };
  for (const time of times) {
    const due = start + time;
    if (!budget.take(due)) break;
    await clock.until(due, signal);
    if (signal.aborted) break;
    const playing = play(due).finally(() => open.delete(playing));
    open.add(playing);
  }
  await Promise.all(open);
}
