/** Sends what is left when the program ends, without changing how it ends. */
import { isMainThread } from "node:worker_threads";

const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/**
 * Calls `flush`, which blocks, when the process or worker thread exits: its work is done, `process.exit()`, or an error nobody
 * caught. Signals that would end the process without that get a listener each, which gives way: to the program's
 * own listeners, and without any to what the signal does by itself. Returns what undoes it.
 */
export function flushAtExit(flush: () => void): () => void {
  process.once("exit", flush);
  const listeners = isMainThread ? SIGNALS.map((signal) => [signal, endedBy(flush)] as const) : [];
  for (const [signal, listener] of listeners) process.once(signal, listener);
  return () => {
    process.off("exit", flush);
    for (const [signal, listener] of listeners) process.off(signal, listener);
  };
}

/** Registered before the program's own listeners, it is called before them; `once` has taken it off by then. */
function endedBy(flush: () => void): NodeJS.SignalsListener {
  return (signal) => {
    const others = process.listenerCount(signal);
    // The program handles it, now and from now on, and its exit comes when it is done.
    if (others > guardCount()) return;
    flush();
    // Guards see that they are alone, clean up, and end the process themselves.
    if (others === 0) process.kill(process.pid, signal);
  };
}

/**
 * Listeners that the package `signal-exit` has on each signal. They only act where nobody else listens, and tell by these
 * counts of theirs: one of version 3, one of version 4.
 */
function guardCount(): number {
  const places: readonly unknown[] = [
    (process as { readonly __signal_exit_emitter__?: unknown }).__signal_exit_emitter__,
    (globalThis as { readonly [name: symbol]: unknown })[Symbol.for("signal-exit emitter")],
  ];
  return places.reduce<number>((sum, place) => sum + countOf(place), 0);
}

function countOf(place: unknown): number {
  const count = typeof place === "object" && place !== null && "count" in place ? place.count : 0;
  return typeof count === "number" ? count : 0;
}
