import { constants } from "node:os";

/** From the terminal and from npm, which passes on what its own process group got already: one Ctrl-C comes twice. */
const ECHO_MS = 500;

/** Counts requests to stop, so that an echo of one is not taken for the next. */
export class StopSignals {
  #count = 0;
  #last: { readonly signal: NodeJS.Signals; readonly at: number } | undefined;

  /** The signal's number, from 1; undefined for an echo. @param now milliseconds of a steady clock */
  take(signal: NodeJS.Signals, now: number): number | undefined {
    if (this.#last?.signal === signal && now - this.#last.at < ECHO_MS) return undefined;
    this.#last = { signal, at: now };
    this.#count += 1;
    return this.#count;
  }
}

/** As a shell reports a process that a signal ended. */
export const exitStatus = (signal: NodeJS.Signals): number => 128 + constants.signals[signal];

/** Calls `stop` with the number of the signal, from 1, for every SIGINT and SIGTERM that is no echo. */
export function onStopSignal(stop: (count: number, signal: NodeJS.Signals) => void): void {
  const signals = new StopSignals();
  const listener = (signal: NodeJS.Signals): void => {
    const count = signals.take(signal, performance.now());
    if (count !== undefined) stop(count, signal);
  };
  process.on("SIGTERM", listener).on("SIGINT", listener);
}
