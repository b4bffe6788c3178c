/**
 * Every message that crosses the engine boundary, split by direction. What they are made of, and the clock both sides read,
 * is in `protocol/`.
 * Messages travel over a child process channel with structured-clone serialization; the engine sends
 * one array of events a step. Times are `Micros`.
 */
import type { WireError } from "./errors.js";
import type { DeviceChoice } from "./protocol/device.js";
import type { LoadOptions, LoadPhaseName, LoadTimeline, ModelDescription } from "./protocol/load.js";
import type { EngineRequest, RequestId } from "./protocol/request.js";
import type { CancelCause, RequestEvent } from "./protocol/request-event.js";
import type { EngineStats, StepStats } from "./protocol/run.js";

export * from "./protocol/clock.js";
export * from "./protocol/device.js";
export * from "./protocol/grammar.js";
export * from "./protocol/load.js";
export * from "./protocol/request.js";
export * from "./protocol/request-event.js";
export * from "./protocol/run.js";
export * from "./protocol/timings.js";

export type EngineCommand =
  | { readonly type: "load"; readonly options: LoadOptions }
  | { readonly type: "submit"; readonly request: EngineRequest }
  /** The server found a stop string: end as finished, reason `stop`. */
  | { readonly type: "stop"; readonly id: RequestId }
  | { readonly type: "cancel"; readonly id: RequestId; readonly cause: CancelCause }
  | { readonly type: "shutdown" };

export type EngineEvent =
  | { readonly type: "loading"; readonly phase: LoadPhaseName }
  | {
      readonly type: "ready";
      readonly model: ModelDescription;
      readonly device: DeviceChoice;
      readonly load: LoadTimeline;
    }
  | { readonly type: "load_failed"; readonly error: WireError; readonly load: LoadTimeline }
  /** What was done there since `ready` is done no longer. */
  | { readonly type: "device"; readonly device: DeviceChoice }
  /** The process ends next, since its device is lost to it. */
  | { readonly type: "lost"; readonly error: WireError }
  | { readonly type: "stats"; readonly stats: EngineStats }
  /** A step is over in which there were requests that asked to have it recorded; comes before what it brought them. */
  | { readonly type: "step"; readonly step: StepStats }
  | RequestEvent;
