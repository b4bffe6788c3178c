import type { ForwardSpan } from "./forward-span.js";

/** Calls back once after so many milliseconds of quiet; the tests' clock stands in for Node's. */
export type Quiet = (milliseconds: number, done: () => void) => QuietTimer;

export interface QuietTimer {
  /** Begins to count anew. */
  refresh(): unknown;
  cancel(): void;
}

/** Does not keep the process alive. */
export const systemQuiet: Quiet = (milliseconds, done) => {
  const timer = setTimeout(done, milliseconds).unref();
  return { refresh: () => timer.refresh(), cancel: () => clearTimeout(timer) };
};

/** Without a step for so long, a sequence is taken to be at its end. */
const QUIET_MS = 200;

interface Run {
  readonly span: ForwardSpan;
  readonly timer: QuietTimer;
  inFlight: number;
}

/**
 * Decode steps that a program makes one by one, without a `generate` that would say where they end: those of one model
 * under one parent span are one span, until the next prefill, a failure, a pause, or the model's release.
 */
export class DecodeRuns {
  readonly #open = new Map<unknown, Map<string, Run>>();

  constructor(private readonly quiet: Quiet) {}

  /** The span that a step of `model` belongs to; `open` makes it where none is under way. */
  begin(model: unknown, parentId: string, open: () => ForwardSpan): Run {
    const runs = this.#open.get(model) ?? new Map<string, Run>();
    this.#open.set(model, runs);
    let run = runs.get(parentId);
    if (run === undefined) {
      const close = () => {
        if (run?.inFlight === 0) this.end(model, parentId);
      };
      run = { span: open(), timer: this.quiet(QUIET_MS, close), inFlight: 0 };
      runs.set(parentId, run);
    }
    run.inFlight++;
    return run;
  }

  /** The step is over. */
  stepped(run: Run): void {
    run.inFlight--;
    run.timer.refresh();
  }

  /** The run of `model` under this parent is over; without a parent, all of them are. */
  end(model: unknown, parentId?: string): void {
    const runs = this.#open.get(model);
    for (const [id, run] of runs ?? []) {
      if (parentId !== undefined && id !== parentId) continue;
      runs?.delete(id);
      run.timer.cancel();
      run.span.close();
    }
    if (runs?.size === 0) this.#open.delete(model);
  }

  endAll(): void {
    for (const model of [...this.#open.keys()]) this.end(model);
  }
}
