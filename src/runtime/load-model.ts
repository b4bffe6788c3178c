import { resolve } from "node:path";
import type { ModelRunner } from "../engine/runner.js";
import { VitrineError } from "../errors.js";
import type { DeviceChoice, LoadOptions, LoadPhase, LoadPhaseName, Micros, RuntimeChoice } from "../protocol.js";
import { type CacheBudget, cacheBudget, checkWeights } from "./cache-budget.js";
import { chooseDevice, fallBackToCpu } from "./device.js";
import { findGraphFile } from "./files/graph-file.js";
import type { ModelDirectory } from "./files/model-directory.js";
import { type PreparedGraph, readGraph, rewriteGraph } from "./graph/prepare-graph.js";
import { createNativeRunner } from "./native/native-runner.js";
import { startOrt } from "./native/native-session.js";
import { createNodeRunner, type RunnerOptions } from "./node/node-runner.js";

export interface LoadedModel extends CacheBudget {
  readonly runner: ModelRunner;
  readonly phases: readonly LoadPhase[];
}

/**
 * Loads a model and runs it once, so that the first request pays for nothing. `onPhase` hears of each phase as it
 * starts. Throws `model_missing`, `model_invalid`, `model_unsupported`, or `device_unavailable`, also where there is
 * no memory for the weights or one sequence.
 */
export async function loadModel(
  options: LoadOptions,
  clock: () => Micros,
  onPhase: (phase: LoadPhaseName) => void,
): Promise<LoadedModel> {
  const phases: LoadPhase[] = [];
  const timed = async <Result>(name: LoadPhaseName, work: () => Promise<Result>): Promise<Result> => {
    onPhase(name);
    const start = clock();
    const result = await work();
    phases.push({ name, start, end: clock() });
    return result;
  };
  const runner = await timed("session.create", () => createRunner(options, chooseDevice(options.device)));
  await timed("warmup", () => warmUp(runner));
  const budget = await cacheBudget(runner, options).catch(async (error: unknown) => {
    await runner.dispose();
    throw error;
  });
  return { runner, phases, ...budget };
}

/**
 * A runner on that device: the native one where it can run the graph, unless another was asked for. Where `auto` chose
 * CUDA and CUDA does not start, on the CPU.
 */
export async function createRunner(options: LoadOptions, device: DeviceChoice): Promise<ModelRunner> {
  try {
    return await createRunnerOn(device, options);
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
async function createRunnerOn(device: DeviceChoice, options: LoadOptions): Promise<ModelRunner> {
  const { modelDir, fastInt4, threads, maxSequences, runtime: requested = "auto" } = options;
  // The native runner asks for it again, and is the one to fail with it.
  const started = requested === "node" ? undefined : startOrt().catch(() => {});
  const file = findGraphFile(resolve(modelDir), options.dtype, device.provider);
  await checkWeights(file, device, options.gpuMemoryUtilization);
  const read = readGraph(file);
  const config = read.goesByConfig ? (await openDirectory(modelDir)).config : undefined;
  // The node runner is what the native one is checked against: it takes attention as the file has it.
  const prepare = (kind: RuntimeChoice["kind"]): PreparedGraph =>
    rewriteGraph(read, {
      ...(kind === "native" ? { attention: config, lengths: true } : {}),
      ...{ fastInt4, ropeSwitch: config?.ropeSwitch },
    });
  const graph = prepare(requested === "node" ? "node" : "native");
  await started;
  const directory = openDirectory(modelDir);
  const on = (kind: RuntimeChoice["kind"], reason: string): Omit<RunnerOptions, "graph"> => {
    return { directory, device: { ...device, runtime: { requested, kind, reason } }, threads, maxSequences };
  };
  if (requested === "node") {
    return createNodeRunner({ graph, ...on("node", "onnxruntime-node's binding was asked for.") });
  }
  try {
    const reason =
      requested === "auto" ? "The graph updates its KV cache in place." : "The native runtime was asked for.";
    return await createNativeRunner({ graph, ...on("native", reason) });
  } catch (error) {
    if (requested === "native" || !isNoWayToRun(error)) throw error;
    return createNodeRunner({ graph: prepare("node"), ...on("node", error.message) });
  }
}

/** With the library that checks the files, which takes as long to load as the graph to read. */
function openDirectory(path: string): Promise<ModelDirectory> {
  const directory = import("./files/model-directory.js").then(({ openModelDirectory }) => openModelDirectory(path));
  // Whoever awaits it hears of a failure.
  directory.catch(() => {});
  return directory;
}

/** Of the native runtime alone: the graph is not for it, or the library failed its self-test. */
function isNoWayToRun(error: unknown): error is VitrineError {
  return error instanceof VitrineError && (error.code === "model_unsupported" || error.code === "internal");
}

/** A prompt of two tokens and one decode step; a graph that fails here fails at load, not at the first request. */
async function warmUp(runner: ModelRunner): Promise<void> {
  // On a device memory is measured next, so it has to have what the longest run of a prompt takes.
  const tokens = runner.device.provider === "cuda" ? Math.min(256, runner.model.contextLength - 1) : 2;
  try {
    await runner.run([{ slot: 0, tokens: new Int32Array(tokens), past: 0 }]);
    await runner.run([{ slot: 0, tokens: Int32Array.of(0), past: tokens }]);
    runner.release(0);
  } catch (error) {
    await runner.dispose();
    throw error;
  }
}
