import { resolve } from "node:path";
import type { ModelRunner } from "../../engine/runner.js";
import { VitrineError } from "../../errors.js";
import type { DeviceChoice, LoadOptions, LoadPhase, LoadPhaseName, Micros, RuntimeChoice } from "../../protocol.js";
import { findGraphFile } from "../files/graph-file.js";
import type { ModelDirectory } from "../files/model-directory.js";
import { type PreparedGraph, readGraph, rewriteGraph } from "../graph/prepare-graph.js";
import { type CacheBudget, cacheBudget, checkWeights } from "../memory/cache-budget.js";
import { createNativeRunner } from "../native/native-runner.js";
import { startOrt } from "../native/native-session.js";
import type { RehearsingRunner } from "../native/rehearsal.js";
import { createNodeRunner, type RunnerOptions } from "../node/node-runner.js";
import { keepSinglePrecision } from "../node/onnxruntime.js";
import { refuseBfloat16 } from "./bfloat16-support.js";
import { chooseDevice, fallBackToCpu } from "./device.js";
import { type OnTrial, provedRunner, type TimedPhase } from "./proved-runner.js";
import { warmUp } from "./warm-up.js";

export interface LoadedModel extends CacheBudget {
  readonly runner: ModelRunner;
  readonly device: DeviceChoice;
  readonly phases: readonly LoadPhase[];
}

/**
 * Loads a model and runs it, so that the first request pays for nothing, and the native runtime has shown on a device
 * that its answers are right. `onPhase` hears of each phase as it starts. Throws `model_missing`, `model_invalid`,
 * `model_unsupported`, or `device_unavailable`, also where there is no memory for the weights or one sequence, or where the
 * native runtime failed on the device and was asked for by name; `native_failed` where another process has to do without it.
 */
export async function loadModel(
  options: LoadOptions,
  clock: () => Micros,
  onPhase: (phase: LoadPhaseName) => void,
  isOnTrial?: OnTrial,
): Promise<LoadedModel> {
  const phases: LoadPhase[] = [];
  const timed: TimedPhase = async (name, work, details) => {
    onPhase(name);
    const start = clock();
    let more = {};
    try {
      const result = await work();
      more = details?.(result) ?? {};
      return result;
    } finally {
      phases.push({ name, start, end: clock(), ...more });
    }
  };
  const { cudaFailure } = options;
  const requested =
    cudaFailure === undefined
      ? chooseDevice(options.device)
      : fallBackToCpu({ requested: options.device }, cudaFailure);
  const create = (unproved = options.nativeFailure) => createRunner(options, requested, unproved);
  const { runner, device } = await provedRunner({ options, timed, create, warmUp, isOnTrial });
  const budget = await cacheBudget(runner, options).catch(async (error: unknown) => {
    await runner.dispose();
    throw error;
  });
  return { runner, device, phases, ...budget };
}

/**
 * A runner on that device: the native one where it can run the graph, unless another was asked for or `unproved` says
 * what is wrong with it there. Where `auto` chose CUDA and CUDA does not start, on the CPU.
 */
export async function createRunner(
  options: LoadOptions,
  device: DeviceChoice,
  unproved?: string,
): Promise<RehearsingRunner> {
  try {
    return await createRunnerOn(device, options, unproved);
  } catch (error) {
    // What is wrong with the directory as such explains the rest.
    await openDirectory(options.modelDir);
    if (device.requested !== "auto" || device.provider === "cpu") throw error;
    return createRunnerOn(fallBackToCpu(device, error), options);
  }
}

/**
 * The session's creation takes longest and is another thread's, so it begins as early as it can: ONNX Runtime starts
 * while the graph is read, and config.json is read while the session is created, but for the few graphs whose rewrites
 * go by it.
 */
async function createRunnerOn(
  device: DeviceChoice,
  options: LoadOptions,
  unproved?: string,
): Promise<RehearsingRunner> {
  const { modelDir, fastInt4, threads, maxSequences, replay, runtime: requested = "auto" } = options;
  const plain = requested === "node" ? "onnxruntime-node's binding was asked for." : unproved;
  keepSinglePrecision(device);
  // The native runner asks for it again, and is the one to fail with it.
  const started = plain !== undefined ? undefined : startOrt().catch(() => {});
  const file = findGraphFile(resolve(modelDir), options.dtype, device.provider);
  await checkWeights(file, device, options.gpuMemoryUtilization);
  const read = readGraph(file);
  if (read.bfloat16) refuseBfloat16(read.file, resolve(modelDir), device, plain);
  const config = read.goesByConfig ? (await openDirectory(modelDir)).config : undefined;
  // The node runner is what the native one is checked against: it takes attention as the file has it.
  const prepare = (kind: RuntimeChoice["kind"]): PreparedGraph =>
    rewriteGraph(read, {
      ...(kind === "native" ? { attention: config, lengths: true } : {}),
      ...{ fastInt4, ropeSwitch: config?.ropeSwitch },
    });
  const graph = prepare(plain === undefined ? "native" : "node");
  await started;
  const directory = openDirectory(modelDir);
  const on = (kind: RuntimeChoice["kind"], reason: string): Omit<RunnerOptions, "graph"> => {
    const common = { directory, threads, maxSequences, ...(replay === undefined ? {} : { replay }) };
    return { ...common, device: { ...device, runtime: { requested, kind, reason } } };
  };
  if (plain !== undefined) return createNodeRunner({ graph, ...on("node", plain) });
  try {
    const reason =
      requested === "auto" ? "The graph updates its KV cache in place." : "The native runtime was asked for.";
    return await createNativeRunner({ graph, ...on("native", reason) });
  } catch (error) {
    if (requested === "native" || read.bfloat16 || !isNativeAlone(error, device)) throw error;
    return createNodeRunner({ graph: prepare("node"), ...on("node", error.message) });
  }
}

/** With the library that checks the files, which takes as long to load as the graph to read. */
function openDirectory(path: string): Promise<ModelDirectory> {
  const directory = import("../files/model-directory.js").then(({ openModelDirectory }) => openModelDirectory(path));
  // Whoever awaits it hears of a failure.
  directory.catch(() => {});
  return directory;
}

/** Of the native runtime alone: the graph is not for it, the library failed its self-test, or the device a call of it. */
function isNativeAlone(error: unknown, { provider }: DeviceChoice): error is Error {
  if (!(error instanceof VitrineError)) return provider !== "cpu" && error instanceof Error;
  return error.code === "model_unsupported" || error.code === "internal";
}
