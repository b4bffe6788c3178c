import { randomBytes } from "node:crypto";
import { VitrineError, type WireError } from "../../errors.js";
import {
  type CancelCause,
  type DeviceChoice,
  type DeviceRequest,
  type EngineEvent,
  type EngineRequest,
  type EngineRun,
  type EngineStats,
  type LoadOptions,
  type LoadTimeline,
  type Micros,
  monotonicMicros,
  type Outcome,
  type RequestEvent,
  type RequestId,
  type StepStats,
} from "../../protocol.js";
import { systemTimers, type Timers } from "../timers.js";
import { Backoff } from "./backoff.js";
import { type ChildExit, type EngineChild, engineForker, type SpawnEngine } from "./child.js";
import type { EngineClient, EngineClientOptions, EngineLoad, EngineState, EngineStatus } from "./client-contract.js";
import { EngineListeners } from "./engine-listeners.js";
import { EngineStart } from "./engine-start.js";
import { type EngineDeath, engineLost } from "./exit-reason.js";
import { Expectation } from "./expectation.js";
import { InFlight } from "./in-flight.js";
import { isCrash, withoutCuda, withoutNative } from "./native-failure.js";
import { notReady } from "./not-ready.js";
import { systemOomKills } from "./oom-kills.js";

export type { EngineClient, EngineLoad, EngineState, EngineStatus } from "./client-contract.js";

/** Starts an engine process and keeps one running: a process that dies is replaced, after a growing pause. */
export function createEngineClient(options: EngineClientOptions): EngineClient {
  return new ProcessEngineClient(options);
}

/** What a child that was told to end may take before it is killed. */
const EXIT_GRACE_MS = 2_000;

class ProcessEngineClient implements EngineClient, EngineStatus {
  readonly #options: EngineClientOptions;
  readonly #clock: () => Micros;
  readonly #timers: Timers;
  /** What `#end` waits for. */
  readonly #expected: Expectation;
  readonly #spawn: SpawnEngine;
  readonly #backoff = new Backoff();
  readonly #requests = new InFlight(() => this.#expected.check());
  readonly #listeners = new EngineListeners();
  #state: EngineState = { kind: "starting" };
  #stats: EngineStats | undefined;
  #run: EngineRun | undefined;
  #child: EngineChild | undefined;
  #start: EngineStart;
  #load: LoadOptions;
  /** How this process's load failed, where another one may do better. */
  #nativeFailure: WireError | undefined;
  /** Why this process ends, where it has said so. */
  #lost: WireError | undefined;
  #restarts = 0;
  #cancelRestart: (() => void) | undefined;
  #shutdown: Promise<void> | undefined;
  /** The time to drain is up: whatever still runs ends as cancelled. */
  #drained = false;

  constructor(options: EngineClientOptions) {
    this.#options = options;
    this.#clock = options.clock ?? monotonicMicros;
    this.#timers = options.timers ?? systemTimers;
    this.#expected = new Expectation(this.#timers);
    this.#spawn = options.spawn ?? engineForker(options.entry, options.env ?? {});
    this.#load = options.load;
    this.#start = this.#launch();
  }

  get state(): EngineState {
    return this.#state;
  }

  get engines(): readonly [EngineStatus] {
    return [this];
  }

  get device(): DeviceRequest {
    return this.#options.load.device;
  }

  get stats(): EngineStats | undefined {
    return this.#stats;
  }

  get inFlight(): number {
    return this.#requests.size;
  }

  onLoad(listener: (load: EngineLoad) => void): void {
    this.#listeners.onLoad(listener);
  }

  onState(listener: (state: EngineState) => void): void {
    this.#listeners.onState(listener);
  }

  onStep(listener: (step: StepStats, run: EngineRun) => void): void {
    this.#listeners.onStep(listener);
  }

  submit(request: EngineRequest, onEvent: (event: RequestEvent) => void): void {
    const refusal = this.#refusal(request.id);
    if (refusal === undefined) {
      this.#requests.add(request.id, onEvent);
      this.#child?.send({ type: "submit", request });
    } else {
      this.#requests.refuse(request.id, refusal.toWire(), this.#clock(), onEvent);
    }
  }

  stop(id: RequestId): void {
    if (this.#requests.has(id)) this.#child?.send({ type: "stop", id });
  }

  cancel(id: RequestId, cause: CancelCause): void {
    if (this.#requests.has(id)) this.#child?.send({ type: "cancel", id, cause });
  }

  shutdown(timeoutMs: number): Promise<void> {
    this.#shutdown ??= this.#end(timeoutMs);
    return this.#shutdown;
  }

  async #end(timeoutMs: number): Promise<void> {
    this.#cancelRestart?.();
    const gone = (): boolean => this.#child === undefined;
    await this.#expected.until(() => this.inFlight === 0 || gone(), timeoutMs);
    this.#drained = true;
    // The engine cancels what is left before it ends.
    this.#child?.send({ type: "shutdown" });
    await this.#expected.until(gone, EXIT_GRACE_MS);
    this.#child?.kill();
    await this.#expected.until(gone);
    this.#setState({ kind: "stopped" });
  }

  /** @param since when the first of several processes was forked for this start */
  #launch(since: Micros = this.#clock()): EngineStart {
    this.#start = new EngineStart(since);
    this.#nativeFailure = undefined;
    this.#lost = undefined;
    this.#child = this.#spawn({
      onEvents: (events) => {
        for (const event of events) this.#receive(event);
      },
      onLog: (line) => this.#options.onLog?.(line),
      onExit: (exit) => this.#lose(exit),
    });
    this.#child.send({ type: "load", options: this.#load });
    return this.#start;
  }

  #receive(event: EngineEvent): void {
    switch (event.type) {
      case "loading":
        this.#start.begin(event.phase, this.#clock());
        if (this.#state.kind === "starting") this.#setState({ kind: "starting", phase: event.phase });
        break;
      case "ready": {
        const { model, device } = event;
        const load = this.#start.succeed(event.load);
        this.#run = { id: randomBytes(16).toString("hex"), model: model.name, device };
        this.#setState({ kind: "ready", model, device });
        this.#report(load, { kind: "ready", model, device });
        break;
      }
      case "load_failed":
        if (event.error.code === "native_failed") this.#nativeFailure = event.error;
        else this.#failLoad(event.error, event.load);
        break;
      case "device":
        this.#changeDevice(event.device);
        break;
      case "lost":
        this.#lost = event.error;
        // Without a device it may hang in its own end.
        this.#child?.kill();
        break;
      case "stats":
        this.#stats = event.stats;
        break;
      case "admitted":
        this.#requests.deliver(this.#run === undefined ? event : { ...event, run: this.#run });
        break;
      case "step":
        if (this.#run !== undefined) this.#listeners.tellStep(event.step, this.#run);
        break;
      default:
        this.#requests.deliver(event);
    }
  }

  /** The process is gone: its requests end, and unless that was wanted or it never loaded, another takes its place. */
  #lose(exit: ChildExit): void {
    const now = this.#clock();
    const killed = exit.signal === "SIGKILL";
    const death = { ...exit, outOfMemory: killed && (this.#options.oomKills ?? systemOomKills).happened() };
    this.#child = undefined;
    this.#stats = undefined;
    this.#run = undefined;
    if (!this.#start.finished && this.#loadsWithLess(exit)) return;
    if (!this.#start.finished) this.#failLoad(this.#nativeFailure ?? this.#deathWhileLoading(death));
    if (this.#shutdown === undefined && this.#state.kind !== "failed") {
      const error = this.#start.error ?? this.#lost ?? engineLost(death, "");
      this.#restartAfter(this.#backoff.delayAfter(this.#start.readyMs(now)), error);
    }
    const outcome: Outcome = this.#drained
      ? { kind: "cancelled", cause: "drain" }
      : { kind: "failed", error: this.#lost ?? engineLost(death, " while this request was running; send it again") };
    this.#requests.endAll(outcome, now);
    this.#expected.check();
  }

  /** Whether another process has begun to load, without what took this one with it. */
  #loadsWithLess(exit: ChildExit): boolean {
    if (this.#shutdown !== undefined) return false;
    const other = withoutNative(this.#load, exit, this.#nativeFailure) ?? withoutCuda(this.#load, exit);
    if (other === undefined) return false;
    this.#load = other;
    this.#launch(this.#start.forkedAt);
    return true;
  }

  #deathWhileLoading(death: EngineDeath): WireError {
    if (this.#shutdown !== undefined)
      return { code: "draining", message: "The engine was shut down while it loaded the model." };
    const { code, message } = engineLost(death, " while it loaded the model");
    if (!isCrash(death.signal) || !this.#load.device.startsWith("cuda")) return { code, message };
    return {
      code,
      message: `${message} "vitrine doctor --device cuda" says whether CUDA works; or ask for --device cpu.`,
    };
  }

  #restartAfter(delayMs: number, error: WireError): void {
    this.#restarts++;
    this.#setState({ kind: "restarting", error, restarts: this.#restarts });
    this.#cancelRestart = this.#timers.after(delayMs, () => this.#launch());
  }

  /** @param load the child's own timeline, unless it died */
  #failLoad(error: WireError, load?: LoadTimeline): void {
    const timeline = this.#start.fail(error, this.#clock(), load);
    if (this.#restarts === 0) this.#setState({ kind: "failed", error });
    this.#report(timeline, { kind: "failed", error });
  }

  #report(load: LoadTimeline, result: EngineLoad["result"]): void {
    this.#listeners.tellLoad({ device: this.device, load, restarts: this.#restarts, result });
  }

  /** Whoever asks from now on, and requests that are admitted, have the new one. */
  #changeDevice(device: DeviceChoice): void {
    if (this.#state.kind !== "ready" || this.#run === undefined) return;
    this.#run = { ...this.#run, device };
    this.#state = { ...this.#state, device };
  }

  #setState(state: EngineState): void {
    this.#state = state;
    this.#listeners.tellState(state);
  }

  #refusal(id: RequestId): VitrineError | undefined {
    if (this.#shutdown !== undefined) {
      return new VitrineError("draining", "The service is shutting down; send the request again later.");
    }
    if (this.#state.kind !== "ready") return notReady(this.#state);
    if (this.#requests.has(id)) {
      return new VitrineError("internal", "A request with the same id is still running; ids must be unique.");
    }
    return undefined;
  }
}
