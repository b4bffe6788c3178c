import { VitrineError } from "../errors.js";
import type { EngineCommand, EngineEvent, EngineRequest, Micros, Outcome, RequestId } from "../protocol.js";
import { KvCache } from "./cache/kv-cache.js";
import type { ModelRunner, RowLogits } from "./runner.js";
import type { ConstraintCompiler } from "./sampling/constraint.js";
import { type Compiled, ConstraintQueue } from "./sampling/constraint-queue.js";
import type { Plan } from "./scheduling/plan.js";
import { Scheduler } from "./scheduling/scheduler.js";
import { StatsPublisher } from "./stats-publisher.js";
import { stepStats, stepTiming } from "./step.js";
import { TokenChooser } from "./token-chooser.js";

export interface EngineLimits {
  /** Most sequences that run at once: the runner's slots. */
  readonly maxSequences: number;
  /** Most tokens of KV cache; as many as all sequences could need when absent. */
  readonly kvTokens?: number;
  /** Most prompt tokens in one step. */
  readonly prefillChunk?: number;
  /** Longest time between two tokens of a stream to aim at, in milliseconds. */
  readonly targetTpotMs?: number;
}

export interface EngineOptions extends EngineLimits {
  readonly runner: ModelRunner;
  /** Holds outputs to grammars; without one such requests fail. */
  readonly constraints?: ConstraintCompiler;
  readonly clock: () => Micros;
  /** Takes the events of one step, never an empty array. */
  readonly emit: (events: readonly EngineEvent[]) => void;
  /** Lets the event loop deliver commands between two steps. */
  readonly turn?: () => Promise<void>;
}

/** More is no faster a token, and streams wait longer for their next one. */
const PREFILL_CHUNK = 256;

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
  readonly #chooser: TokenChooser;
  readonly #stats: StatsPublisher;
  readonly #compiling: ConstraintQueue;
  /** Requests whose grammar was compiled since the last step. */
  #compiled: Compiled[] = [];
  #commands: RunningCommand[] = [];
  #events: EngineEvent[] = [];
  #steps = 0;
  #wake: (() => void) | undefined;
  #state: "running" | "stopping" | "stopped" = "running";

  constructor(options: EngineOptions) {
    const { runner, maxSequences, clock, targetTpotMs } = options;
    const { contextLength, kvBytesPerToken, vocabSize } = runner.model;
    const cells = options.kvTokens ?? Number.POSITIVE_INFINITY;
    const cache = new KvCache({ rows: maxSequences, tokens: contextLength, cells, memory: runner, clock });
    this.#options = options;
    this.#turn = options.turn ?? nextTurn;
    this.#chooser = new TokenChooser(vocabSize);
    this.#scheduler = new Scheduler({
      cache,
      clock,
      kvBytesPerToken,
      rewinds: runner.rewinds,
      prefillChunk: options.prefillChunk ?? PREFILL_CHUNK,
      ...(targetTpotMs === undefined ? {} : { targetTpotMs }),
      emit: (event) => this.#events.push(event),
    });
    this.#compiling = new ConstraintQueue(options.constraints, clock, (compiled) => {
      this.#compiled.push(compiled);
      this.#wake?.();
    });
    this.#stats = new StatsPublisher({ scheduler: this.#scheduler, cache, kvBytesPerToken, clock });
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

  /**
   * Runs until `shutdown` is dispatched; then cancels what is left (`drain`) and returns. The runner stays loaded. Throws
   * `engine_lost` where the runner can do nothing any more in this process, once the step's requests have failed with it.
   */
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
    this.#submitCompiled();
    for (const id of this.#compiling.clear()) this.#end(id, { kind: "cancelled", cause: "drain" });
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
    let logits: readonly RowLogits[] = [];
    let failure: VitrineError | undefined;
    try {
      const running = runner.run(plan.rows);
      // An admission is told before its prefill is done, so that a crash in it still shows where it was.
      this.#flush();
      logits = await running;
    } catch (thrown) {
      failure = VitrineError.from(thrown, "inference_failed");
    }
    const step = stepTiming(plan, ++this.#steps, start, clock());
    this.#stats.addStep(step);
    if (failure === undefined && logits.length !== plan.rows.length) {
      failure = new VitrineError(
        "internal",
        `The runner returned ${logits.length} rows of logits for ${plan.rows.length}.`,
      );
    }
    const stats = stepStats(plan, step, failure?.toWire());
    if (stats !== undefined) this.#events.push({ type: "step", step: stats });
    if (failure === undefined) this.#scheduler.commit(plan, step, this.#chooser.results(plan, logits));
    else this.#scheduler.fail(plan, step, failure.toWire());
    this.#flush();
    if (failure?.code === "engine_lost") throw failure;
  }

  async #idle(): Promise<void> {
    this.#flush();
    // Whoever took the events may have answered with a command at once.
    if (this.#commands.length + this.#compiled.length > 0) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }

  #applyCommands(): void {
    const commands = this.#commands;
    this.#commands = [];
    // First, so that a command finds them.
    this.#submitCompiled();
    for (const command of commands) this.#apply(command);
  }

  #submit(request: EngineRequest): void {
    if (request.grammar === undefined) this.#scheduler.submit(request);
    else this.#compiling.add(request, request.grammar);
  }

  #submitCompiled(): void {
    for (const { request, result, at } of this.#compiled.splice(0)) {
      if (result instanceof VitrineError) this.#end(request.id, { kind: "failed", error: result.toWire() });
      else this.#scheduler.submit(request, { constraint: result, at });
    }
  }

  /** Ends a request that the scheduler does not have. */
  #end(id: RequestId, outcome: Outcome): void {
    this.#events.push({ type: "ended", id, outcome, at: this.#options.clock() });
  }

  #apply(command: RunningCommand): void {
    switch (command.type) {
      case "submit":
        this.#submit(command.request);
        break;
      case "stop":
        if (this.#compiling.delete(command.id)) this.#end(command.id, { kind: "finished", reason: "stop" });
        else this.#scheduler.stop(command.id);
        break;
      case "cancel":
        if (this.#compiling.delete(command.id)) this.#end(command.id, { kind: "cancelled", cause: command.cause });
        else this.#scheduler.cancel(command.id, command.cause);
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

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
