/** How often the thread shows that it lives. */
export const HEARTBEAT_MS = 1_000;
/** Heartbeats between two looks at them. */
export const BEATS_PER_LOOK = 5;
/**
 * Looks without a heartbeat between them, in a row, before a thread counts as hung. Looks and not time: a process that was stopped
 * or starved as a whole looks late, and its thread beats before the next look.
 */
const LOOKS = 3;
const RESTART_MS = { first: 100, most: 5_000 } as const;
/** A thread that lived this long did not die of what killed the one before. */
const HEALTHY_MS = 60_000;

/** Judges the export thread by its heartbeat, a count in shared memory, and says how long to wait before it is started again. */
export class ThreadWatch {
  readonly #beats: Int32Array;
  #seen = 0;
  #still = 0;
  #started = 0;
  #restarts = 0;

  /** @param heartbeat one Int32, which the thread raises @param now milliseconds of a steady clock */
  constructor(
    heartbeat: SharedArrayBuffer,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#beats = new Int32Array(heartbeat);
  }

  started(): void {
    this.#started = this.now();
    this.#seen = Atomics.load(this.#beats, 0);
    this.#still = 0;
  }

  /** Looks once; true when the thread has stood still for too many looks. */
  hung(): boolean {
    const beats = Atomics.load(this.#beats, 0);
    this.#still = beats === this.#seen ? this.#still + 1 : 0;
    this.#seen = beats;
    return this.#still >= LOOKS;
  }

  /** The thread died. Milliseconds until it is to be started again: more each time, from the start again after a long life. */
  pause(): number {
    if (this.now() - this.#started >= HEALTHY_MS) this.#restarts = 0;
    return Math.min(RESTART_MS.most, RESTART_MS.first * 2 ** this.#restarts++);
  }
}

/** The thread's side: it lives as long as its timers fire. */
export function beat(heartbeat: SharedArrayBuffer, everyMs: number): void {
  const beats = new Int32Array(heartbeat);
  setInterval(() => Atomics.add(beats, 0, 1), everyMs);
}
