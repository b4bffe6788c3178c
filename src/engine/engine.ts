import { VitrineError } from "../errors.js";
import type { EngineCommand, EngineEvent, Micros } from "../protocol.js";
import type { StepTiming } from "./forward-timings.js";
import { KvCache } from "./kv-cache.js";
import type { ModelRunner } from "./runner.js";
import { Sampler } from "./sampler.js";
import { type Plan, Scheduler } from "./scheduler.js";
import { StatsPublisher } from "./stats-publisher.js";

export interface EngineOptions {
  readonly runner: ModelRunner;
  /** Most sequences that run at once: the runner's slots. */
  readonly maxSequences: number;
  readonly clock: () => Micros;
  /** Takes the events of one step, never an empty array. */
  readonly emit: (events: readonly EngineEvent[]) => void;
  /** Lets the event loop deliver commands between two steps. */
  readonly turn?: () => Promise<void>;
}

/** A command to a loaded engine. */
export type RunningCommand = Exclude<EngineCommand, { readonly type: "load" }>;

/**
 * The compute loop: plan, run, sample, commit. A step is a transaction; commands take effect between steps.
 * With nothing to do it sleeps until a command comes.
 */
export class Engine {
  readonly #options: EngineOptions;
  readonly #turn: () => Promise<void>;
  readonly #scheduler: Scheduler;
  readonly #sampler: Sampler;
  readonly #stats: StatsPublisher;
  #commands: RunningCommand[] = [];
  #events: EngineEvent[] = [];
  #wake: (() => void) | undefined;
  #state: "running" | "stopping" | "stopped" = "running";

  constructor(options: EngineOptions) {
    const { runner, maxSequences, clock } = options;
    const cache = new KvCache(maxSequences, runner.model.contextLength);
    this.#options = options;
    this.#turn = options.turn ?? nextTurn;
    this.#sampler = new Sampler(runner.model.vocabSize);
    this.#scheduler = new Scheduler({
      cache,
      clock,
      kvBytesPerToken: runner.model.kvBytesPerToken,
      emit: (event) => this.#events.push(event),
      onRelease: (slot) => runner.release(slot),
    });
    this.#stats = new StatsPublisher({ scheduler: this.#scheduler, cache, clock });
  }

  /** Hands a command over; it takes effect before the next step. */
  dispatch(command: RunningCommand): void {
    if (this.#state === "stopped") {
      this.#refuse(command);
    } else {
      this.#commands.push(command);
      this.#wake?.();
    }
  }

  /** Runs until `shutdown` is dispatched; then cancels what is left (`drain`) and returns. The runner stays loaded. */
  async run(): Promise<void> {
    for (;;) {
      this.#applyCommands();
      if (this.#state !== "running") break;
      const plan = this.#scheduler.plan();
      if (plan === undefined) await this.#idle();
      else {
        await this.#step(plan);
        await this.#turn();
      }
    }
    this.#scheduler.cancelAll("drain");
    this.#state = "stopped";
    this.#flush();
  }

  /** Throws when queue, running set and cache disagree. For tests. */
  checkInvariants(): void {
    this.#scheduler.checkInvariants();
  }

  async #step(plan: Plan): Promise<void> {
    const { clock, runner } = this.#options;
    const start = clock();
    let logits: readonly Float32Array[] = [];
    let failure: VitrineError | undefined;
    try {
      const running = runner.run(plan.rows);
      // An admission is told before its prefill is done, so that a crash in it still shows where it was.
      this.#flush();
      logits = await running;
    } catch (thrown) {
      failure = VitrineError.from(thrown, "inference_failed");
    }
    const step = timing(plan, start, clock());
    this.#stats.addStep(step);
    if (failure === undefined && logits.length !== plan.rows.length) {
      failure = new VitrineError(
        "internal",
        `The runner returned ${logits.length} rows of logits for ${plan.rows.length}.`,
      );
    }
    if (failure === undefined) this.#scheduler.commit(plan, step, this.#choose(plan, logits));
    else this.#scheduler.fail(plan, step, failure.toWire());
    this.#flush();
  }

  /** A token for each row; a row without one fails alone. */
  #choose(plan: Plan, logits: readonly Float32Array[]): (number | VitrineError)[] {
    return plan.sequences.map((sequence, row) => {
      try {
        return this.#sampler.sample(logits[row] as Float32Array, sequence);
      } catch (thrown) {
        return VitrineError.from(thrown, "inference_failed");
      }
    });
  }

  async #idle(): Promise<void> {
    this.#flush();
    // Whoever took the events may have answered with a command at once.
    if (this.#commands.length > 0) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }

  #applyCommands(): void {
    const commands = this.#commands;
    this.#commands = [];
    for (const command of commands) this.#apply(command);
  }

  #apply(command: RunningCommand): void {
    switch (command.type) {
      case "submit":
        this.#scheduler.submit(command.request);
        break;
      case "stop":
        this.#scheduler.stop(command.id);
        break;
      case "cancel":
        this.#scheduler.cancel(command.id, command.cause);
        break;
      case "shutdown":
        this.#state = "stopping";
    }
  }

  /** After the end, a request still gets its one terminal event. */
  #refuse(command: RunningCommand): void {
    if (command.type !== "submit") return;
    const error = new VitrineError("draining", "The engine is shutting down; send the request again later.").toWire();
    const at = this.#options.clock();
    this.#options.emit([{ type: "ended", id: command.request.id, outcome: { kind: "failed", error }, at }]);
  }

  #flush(): void {
    const stats = this.#stats.take();
    if (stats !== undefined) this.#events.push({ type: "stats", stats });
    if (this.#events.length === 0) return;
    const events = this.#events;
    this.#events = [];
    this.#options.emit(events);
  }
}

function timing({ rows }: Plan, start: Micros, end: Micros): StepTiming {
  return { start, end, batchSize: rows.length, tokensFed: rows.reduce((sum, { tokens }) => sum + tokens.length, 0) };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
