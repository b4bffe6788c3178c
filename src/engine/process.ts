import { VitrineError } from "../errors.js";
import {
  type DeviceChoice,
  type EngineCommand,
  type EngineEvent,
  type LoadOptions,
  type LoadPhase,
  type LoadPhaseName,
  type Micros,
  monotonicMicros,
} from "../protocol.js";
import { DeviceWatch } from "./device-watch.js";
import { Engine, type EngineLimits, type RunningCommand } from "./engine.js";
import { heldContext } from "./held-context.js";
import { PhaseRecorder } from "./phase-recorder.js";
import type { ModelRunner } from "./runner.js";
import type { ConstraintCompiler } from "./sampling/constraint.js";

export interface LoadedEngine {
  readonly runner: ModelRunner;
  /** Where it runs, and what is known of that once it ran. */
  readonly device: DeviceChoice;
  readonly phases: readonly LoadPhase[];
  readonly constraints?: ConstraintCompiler;
  /** Bytes for the KV cache, where the memory it lies in has the last word. */
  readonly kvMemory?: number;
  /** Of memory that may not suffice: a sentence each. */
  readonly warnings?: readonly string[];
}

/** Makes a runner, telling of each phase as it begins. Throws VitrineError. */
export type LoadModel = (
  options: LoadOptions,
  clock: () => Micros,
  onPhase: (phase: LoadPhaseName) => void,
) => Promise<LoadedEngine>;

/**
 * The child's side of the engine process: takes commands from the parent, `load` first, and sends it events, one
 * message a step. Ends with the parent: when the channel closes, nobody is left to compute for.
 */
export function serveEngine(loadModel: LoadModel): void {
  process.on("uncaughtException", (error) => {
    process.stderr.write(`The engine process ends on an unexpected error: ${error.stack ?? error}\n`);
    process.exit(1);
  });
  // A terminal's Ctrl-C and a service manager's TERM reach the whole process group, but it is the parent that decides
  // when running requests are done.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
  process.on("disconnect", () => process.exit(0));
  let engine: Engine | undefined;
  const start = async (options: LoadOptions): Promise<void> => {
    const loaded = await load(loadModel, options);
    const { runner, device, constraints } = loaded;
    const watch = new DeviceWatch(runner, device);
    engine = new Engine({
      runner,
      ...(constraints === undefined ? {} : { constraints }),
      ...limitsOf(loaded, options),
      clock: monotonicMicros,
      emit: (events) => {
        const changed = watch.change();
        if (changed !== undefined)
          process.stderr.write(`Steps are not replayed any more. ${changed.device.replay?.reason}\n`);
        void send(changed === undefined ? events : [...events, changed]);
      },
    });
    await engine.run().catch(endLost);
    await runner.dispose();
    await exit(0);
  };
  process.on("message", (command: EngineCommand) => {
    if (command.type === "load") void start(command.options);
    else if (engine !== undefined) engine.dispatch(command);
    else void refuseUnloaded(command);
  });
}

/** Loads the model and reports how that went; a failure ends the process. */
async function load(loadModel: LoadModel, options: LoadOptions): Promise<LoadedEngine> {
  const start = monotonicMicros();
  const recorder = new PhaseRecorder();
  try {
    const loaded = await loadModel(options, monotonicMicros, (phase) => {
      recorder.begin(phase, monotonicMicros());
      void send([{ type: "loading", phase }]);
    });
    const { runner, device, phases } = loaded;
    const { warnings = [] } = runner.model;
    const warned = { ...runner.model, warnings: [...warnings, ...(loaded.warnings ?? [])] };
    const model = heldContext(warned, limitsOf(loaded, options).kvTokens);
    void send([{ type: "ready", model, device, load: { start, end: monotonicMicros(), phases } }]);
    return loaded;
  } catch (thrown) {
    const end = monotonicMicros();
    const error = VitrineError.from(thrown, "model_invalid").toWire();
    void send([{ type: "load_failed", error, load: { start, end, phases: recorder.end(end) } }]);
    return exit(1);
  }
}

/** Where the device is lost, nothing can be freed either: another process gets it whole when this one is gone. */
async function endLost(thrown: unknown): Promise<never> {
  if (!(thrown instanceof VitrineError && thrown.code === "engine_lost")) throw thrown;
  process.stderr.write(`${thrown.message}\n`);
  void send([{ type: "lost", error: thrown.toWire() }]);
  return exit(1);
}

function limitsOf({ runner, kvMemory: ofMemory }: LoadedEngine, options: LoadOptions): EngineLimits {
  const { maxSequences, prefillChunk, targetTpotMs } = options;
  const kvMemory = ofMemory ?? options.kvMemory;
  const { kvBytesPerToken } = runner.model;
  return {
    maxSequences,
    ...(kvMemory === undefined ? {} : { kvTokens: Math.max(1, Math.floor(kvMemory / kvBytesPerToken)) }),
    ...(prefillChunk === undefined ? {} : { prefillChunk }),
    ...(targetTpotMs === undefined ? {} : { targetTpotMs }),
  };
}

/** The parent submits nothing before `ready`; what comes all the same gets its terminal event. */
async function refuseUnloaded(command: RunningCommand): Promise<void> {
  if (command.type === "shutdown") await exit(0);
  if (command.type !== "submit") return;
  const error = new VitrineError(
    "engine_not_ready",
    "The engine is still loading its model; send the request again later.",
  );
  const outcome = { kind: "failed", error: error.toWire() } as const;
  await send([{ type: "ended", id: command.request.id, outcome, at: monotonicMicros() }]);
}

/** Settles once the message has left; when the channel is gone, so is whoever would read it. */
function send(events: readonly EngineEvent[]): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(events, undefined, undefined, () => resolve());
  });
}

/** Ends the process after everything sent before has left. */
async function exit(code: number): Promise<never> {
  // Messages leave in order: when this empty one has left, all have.
  await send([]);
  process.exit(code);
}
