import type { WireError } from "../../errors.js";
import type {
  CancelCause,
  DeviceChoice,
  DeviceRequest,
  EngineRequest,
  EngineRun,
  EngineStats,
  LoadOptions,
  LoadPhaseName,
  LoadTimeline,
  Micros,
  ModelDescription,
  RequestEvent,
  RequestId,
  StepStats,
} from "../../protocol.js";
import type { Timers } from "../timers.js";
import type { SpawnEngine } from "./child.js";
import type { OomKills } from "./oom-kills.js";

export type EngineState =
  | { readonly kind: "starting"; readonly phase?: LoadPhaseName }
  | { readonly kind: "ready"; readonly model: ModelDescription; readonly device: DeviceChoice }
  /** The process died and comes back after a back-off. */
  | { readonly kind: "restarting"; readonly error: WireError; readonly restarts: number }
  /** The first load failed; it will not be tried again. */
  | { readonly kind: "failed"; readonly error: WireError }
  | { readonly kind: "stopped" };

/** One engine process, as it is looked at. */
export interface EngineStatus {
  /** What it was asked to run on. */
  readonly device: DeviceRequest;
  readonly state: EngineState;
  readonly stats: EngineStats | undefined;
  /** Its requests that were submitted and have not yet ended. */
  readonly inFlight: number;
}

/** One finished start of an engine process, good or bad. */
export interface EngineLoad {
  /** What it was asked to run on. */
  readonly device: DeviceRequest;
  readonly load: LoadTimeline;
  readonly restarts: number;
  readonly result:
    | { readonly kind: "ready"; readonly model: ModelDescription; readonly device: DeviceChoice }
    | { readonly kind: "failed"; readonly error: WireError };
}

/** The server's view of the engine: one process, or a fleet of them. */
export interface EngineClient {
  /** Of all processes together: ready while any is. */
  readonly state: EngineState;
  /** Each process, at least one, always in the same order. */
  readonly engines: readonly EngineStatus[];
  /** Requests submitted and not yet ended. */
  readonly inFlight: number;
  /**
   * Hands a request over; `onEvent` gets its events, the last of them `ended`, exactly once, also when the
   * engine dies or is not ready (outcome `failed`: `engine_lost`, `engine_not_ready`).
   */
  submit(request: EngineRequest, onEvent: (event: RequestEvent) => void): void;
  /** Ends the request as finished with reason `stop`; unknown ids are ignored. */
  stop(id: RequestId): void;
  /** Ends the request as cancelled; unknown ids are ignored. */
  cancel(id: RequestId, cause: CancelCause): void;
  /** Hears of every finished start; one that finished before is told on a later tick. */
  onLoad(listener: (load: EngineLoad) => void): void;
  onState(listener: (state: EngineState) => void): void;
  /** Hears of every step in which there were requests that asked for it, before those hear what it brought them. */
  onStep(listener: (step: StepStats, run: EngineRun) => void): void;
  /** Waits up to `timeoutMs` for running requests, cancels the rest (`drain`), then ends the process. */
  shutdown(timeoutMs: number): Promise<void>;
}

export interface EngineClientOptions {
  /** The child's entry file. */
  readonly entry: URL | string;
  readonly load: LoadOptions;
  /** Added to this process's environment for the child. */
  readonly env?: NodeJS.ProcessEnv;
  /** Lines of the child's standard error. */
  readonly onLog?: (line: string) => void;
  readonly clock?: () => Micros;
  readonly timers?: Timers;
  /** Starts a child instead of forking `entry`. */
  readonly spawn?: SpawnEngine;
  readonly oomKills?: Pick<OomKills, "happened">;
}
