import { setTimeout as sleep } from "node:timers/promises";

/** Milliseconds since the run began. */
export interface BenchClock {
  now(): number;
  /** Resolves at `at`, at once where that is past, and early when `signal` aborts. */
  until(at: number, signal: AbortSignal): Promise<void>;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Timers are whole milliseconds; what is left is spent turning the event loop, which still serves its sockets. */
export function realClock(): BenchClock {
  const origin = performance.now();
  const now = (): number => performance.now() - origin;
  return {
    now,
    async until(at, signal) {
      const whole = Math.floor(at - now());
      if (whole > 0 && !signal.aborted) await sleep(whole, undefined, { signal }).catch(() => {});
      while (now() < at && !signal.aborted) await turn();
    },
  };
}
