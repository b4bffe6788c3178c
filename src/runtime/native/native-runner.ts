import type { OrtSession } from "../../../native/ort.js";
import type { RowLogits, RunnerRow } from "../../engine/runner.js";
import { VitrineError } from "../../errors.js";
import type { DeviceChoice, ModelDescription } from "../../protocol.js";
import { describeModel } from "../describe-model.js";
import type { GraphFile } from "../files/graph-file.js";
import type { ModelConfig } from "../files/model-config.js";
import type { RunnerOptions } from "../node/node-runner.js";
import { heedRotaryPositions, withRopeSwitch } from "../rope-switch.js";
import { atHand } from "../row-logits.js";
import { type GraphSignature, readGraphSignature } from "../signature/graph-signature.js";
import { stepFailure } from "../step-failure.js";
import { type CacheMemory, openCacheMemory } from "./cache-memory.js";
import { createCapturingSession, whyNoReplay } from "./capturing-session.js";
import { type LogitsMemory, openLogitsMemory } from "./logits-memory.js";
import type { RehearsingRunner } from "./rehearsal.js";
import { checkRows, planError } from "./row-checks.js";
import { SlotCache } from "./slot-cache.js";
import { whyNoSlotCache, whyNotNative } from "./slot-cache-support.js";
import { type InputDevice, openInputDevice } from "./step-input.js";
import type { StepReplay } from "./step-replay.js";
import { StepRuns } from "./step-runs.js";

/** Room is made by so many tokens at once. */
const SPARE_TOKENS = 256;

/** What a runner has of its device; tests stand in for one. */
export interface DeviceParts {
  readonly openCache: typeof openCacheMemory;
  readonly openLogits: typeof openLogitsMemory;
  readonly openInputs: typeof openInputDevice;
}

const OF_SESSION: DeviceParts = {
  openCache: openCacheMemory,
  openLogits: openLogitsMemory,
  openInputs: openInputDevice,
};

/**
 * The default runner: ONNX Runtime's C API, tensors bound once, KV cache updated in place, all decoding sequences in
 * one run. Prompts run one at a time, in chunks. Throws as `createNativeSession` does, and `model_unsupported` for
 * graphs whose cache cannot be updated in place.
 */
export async function createNativeRunner(
  options: RunnerOptions,
  parts: Partial<DeviceParts> = {},
): Promise<RehearsingRunner> {
  const { graph, device } = options;
  const { openCache, openLogits, openInputs } = { ...OF_SESSION, ...parts };
  // What the nodes alone tell saves the session's creation.
  refuseFor(whyNotNative(graph, device), graph);
  heedRotaryPositions(graph, device);
  const { session, obstacle } = await createCapturingSession(options);
  try {
    const directory = await options.directory;
    const signature = readGraphSignature(session.inputs, session.outputs, directory.config);
    refuseFor(whyNoSlotCache(signature, session.inputs, graph.nodes), graph);
    const model = describeModel(directory, graph, signature);
    const cache = openCache(session, signature.cacheType);
    const logits = await openLogits(session, signature).catch((error: unknown) => {
      cache.dispose();
      throw error;
    });
    const { ropeSwitch } = directory.config;
    const inputs = openInputs(session);
    const opened = { session, signature, model, cache, logits, inputs };
    const noReplay = obstacle ?? whyNoReplay(inputs, signature);
    return withRopeSwitch(new NativeRunner(opened, { ...options, ropeSwitch, noReplay }), signature, ropeSwitch);
  } catch (error) {
    session.dispose();
    throw error;
  }
}

function refuseFor(obstacle: string | undefined, { path }: GraphFile): void {
  if (obstacle === undefined) return;
  throw new VitrineError("model_unsupported", `The native runtime cannot run ${path}: ${obstacle}.`);
}

/** What a runner owns. Of memory: where what runs leave behind lives, beside the weights. */
interface RunnerParts {
  readonly session: OrtSession;
  readonly signature: GraphSignature;
  readonly model: ModelDescription;
  readonly cache: CacheMemory;
  readonly logits: LogitsMemory;
  readonly inputs: InputDevice | undefined;
}

interface NativeOptions extends Pick<RunnerOptions, "device" | "maxSequences">, Pick<ModelConfig, "ropeSwitch"> {
  /** Why decode steps are not replayed. */
  readonly noReplay: string | undefined;
}

class NativeRunner implements RehearsingRunner {
  readonly model: ModelDescription;
  readonly rewinds = true;
  readonly #parts: RunnerParts;
  readonly #options: NativeOptions;
  readonly #cache: SlotCache;
  readonly #runs: StepRuns;
  #running: Promise<unknown> | undefined;
  #released: number[] = [];

  constructor(parts: RunnerParts, options: NativeOptions) {
    const { signature, model, cache, inputs } = parts;
    const { ropeSwitch, noReplay } = options;
    this.model = model;
    this.#parts = parts;
    this.#options = options;
    this.#cache = new SlotCache({ ...cache, type: signature.cacheType, entries: signature.cache });
    const onOneThread = inputs !== undefined;
    this.#runs = new StepRuns({ ...parts, cache: this.#cache, ropeSwitch, onOneThread, noReplay });
  }

  get device(): DeviceChoice {
    const { noReplay } = this.#options;
    const device = { ...this.#options.device, kvCache: this.#parts.cache.memory.device };
    if (this.#parts.inputs === undefined) return device;
    return { ...device, replay: this.replay?.choice ?? { on: false, reason: noReplay ?? "" } };
  }

  /** The other way to take decode steps, where there is one. */
  get replay(): StepReplay | undefined {
    return this.#runs.replay;
  }

  async run(rows: readonly RunnerRow[]): Promise<readonly RowLogits[]> {
    if (this.#running !== undefined) throw planError("another step is still running");
    const running = this.#runRows(rows);
    this.#running = running;
    try {
      return await running;
    } catch (cause) {
      throw stepFailure(cause, this.#parts.session.stream);
    } finally {
      this.#running = undefined;
      for (const slot of this.#released.splice(0)) this.#cache.release(slot);
    }
  }

  reserve(rows: number, tokens: number): void {
    if (rows === this.#cache.rows && tokens === this.#cache.tokens) return;
    try {
      this.#resize(rows, tokens);
    } catch (cause) {
      throw stepFailure(cause, this.#parts.session.stream);
    }
  }

  copy(from: number, to: number, tokens: number): void {
    try {
      this.#cache.copy(from, to, tokens);
    } catch (cause) {
      throw stepFailure(cause, this.#parts.session.stream);
    }
  }

  /** During a step it takes effect after it. */
  release(slot: number): void {
    if (this.#running === undefined) this.#cache.release(slot);
    else this.#released.push(slot);
  }

  /** Ends a running step first. */
  async dispose(): Promise<void> {
    const { session, cache, logits, inputs } = this.#parts;
    if (session.disposed) return;
    this.#runs.terminate();
    await this.#running?.catch(() => {});
    for (const used of [this.#runs, this.#cache, cache, logits, inputs?.memory, session]) used?.dispose();
  }

  async #runRows(rows: readonly RunnerRow[]): Promise<readonly RowLogits[]> {
    const { maxSequences: slots } = this.#options;
    checkRows(rows, { model: this.model, slots, lengthOf: (slot) => this.#cache.lengthOf(slot) });
    for (const { slot, past } of rows) {
      this.#cache.admit(slot);
      // Going back is only this: what lies beyond the length is never read.
      this.#cache.setLength(slot, past);
    }
    this.#makeRoom(Math.max(...rows.map(({ past, tokens }) => past + tokens.length)));
    // Before the prompts: what it moves goes by the lengths from before the step.
    const decoding = rows.filter((row) => row.tokens.length === 1);
    const logits = decoding.length > 0 ? await this.#runs.decode(decoding) : new Map<RunnerRow, RowLogits>();
    for (const row of rows) if (row.tokens.length > 1) logits.set(row, atHand(await this.#runs.prompt(row)));
    for (const { slot, past, tokens } of rows) this.#cache.setLength(slot, past + tokens.length);
    return rows.map((row) => logits.get(row) as RowLogits);
  }

  /** Whoever did not reserve gets what it needs, and a little more. */
  #makeRoom(tokens: number): void {
    const { span, rows, tokens: capacity } = this.#cache;
    const needed = Math.min(this.model.contextLength, Math.ceil(tokens / SPARE_TOKENS) * SPARE_TOKENS);
    if (span > rows || tokens > capacity) this.#resize(Math.max(span, rows), Math.max(needed, capacity));
    else if (this.#runs.unbound) this.#resize(rows, capacity);
  }

  #resize(rows: number, tokens: number): void {
    const { rows: oldRows, tokens: oldTokens } = this.#cache;
    // What is bound holds the old memory.
    this.#runs.unbind();
    this.#cache.reserve(rows, tokens);
    try {
      this.#runs.bind();
    } catch (error) {
      // Or every later step would want what there is no memory for.
      this.#cache.reserve(oldRows, oldTokens);
      throw error;
    }
  }
}
