/** Delays that tests can drive. */
export interface Timers {
  /** Calls `run` once after `ms` milliseconds; the returned function prevents it. */
  after(ms: number, run: () => void): () => void;
}

export const systemTimers: Timers = {
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};
