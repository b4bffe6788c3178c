import { OrtMemory, OrtRunOptions, type OrtSession } from "../../../native/ort.js";
import type { ModelRunner, RowLogits, RunnerRow } from "../../engine/runner.js";
import { VitrineError } from "../../errors.js";
import type { DeviceChoice, ModelDescription } from "../../protocol.js";
import { describeModel } from "../describe-model.js";
import type { GraphFile } from "../files/graph-file.js";
import type { ModelConfig } from "../files/model-config.js";
import { type GraphSignature, readGraphSignature } from "../graph-signature.js";
import type { RunnerOptions } from "../node/node-runner.js";
import { rotaryShift, withRopeSwitch } from "../rope-switch.js";
import { atHand } from "../row-logits.js";
import { runFailure } from "../run-failure.js";
import { type CacheMemory, openCacheMemory } from "./cache-memory.js";
import { type LogitsMemory, openLogitsMemory } from "./logits-memory.js";
import { createNativeSession } from "./native-session.js";
import { RowWindow } from "./row-window.js";
import { SlotCache } from "./slot-cache.js";
import { whyNoSlotCache, whyNotNative } from "./slot-cache-support.js";
import { StepTensors } from "./step-tensors.js";

/**
 * A run expected to be shorter stays on this thread: decode steps, but for the largest models. The way to another one
 * costs 15 us where a core is idle and near 1 ms where ONNX Runtime's threads spin on all of them. Commands wait for the
 * end of a step in any case.
 */
const SYNC_BELOW_MS = 50;
/** Room is made by so many tokens at once. */
const SPARE_TOKENS = 256;

/**
 * The default runner: ONNX Runtime's C API, tensors bound once, KV cache updated in place, all decoding sequences in
 * one run. Prompts run one at a time, in chunks. Throws as `createNativeSession` does, and `model_unsupported` for
 * graphs whose cache cannot be updated in place.
 */
export async function createNativeRunner(
  options: RunnerOptions,
  openLogits: typeof openLogitsMemory = openLogitsMemory,
): Promise<ModelRunner> {
  const { graph, device, threads } = options;
  const { nodes } = graph;
  // What the nodes alone tell saves the session's creation.
  refuseFor(whyNotNative(graph, device), graph);
  const session = await createNativeSession(graph, device, threads);
  try {
    const directory = await options.directory;
    const signature = readGraphSignature(session.inputs, session.outputs, directory.config);
    refuseFor(whyNoSlotCache(signature, session.inputs, nodes), graph);
    const model = describeModel(directory, graph, signature);
    const { ropeSwitch } = directory.config;
    const cache = openCacheMemory(session, signature.cacheType);
    const logits = await openLogits(session, signature).catch((error: unknown) => {
      cache.dispose();
      throw error;
    });
    const runner = new NativeRunner(session, signature, { ...options, ropeSwitch }, model, { cache, logits });
    return withRopeSwitch(runner, signature, ropeSwitch);
  } catch (error) {
    session.dispose();
    throw error;
  }
}

function refuseFor(obstacle: string | undefined, { path }: GraphFile): void {
  if (obstacle === undefined) return;
  throw new VitrineError("model_unsupported", `The native runtime cannot run ${path}: ${obstacle}.`);
}

/** Where what runs leave behind lives: beside the weights. */
interface RunnerMemory {
  readonly cache: CacheMemory;
  readonly logits: LogitsMemory;
}

class NativeRunner implements ModelRunner {
  readonly device: DeviceChoice;
  readonly rewinds = true;
  readonly #session: OrtSession;
  readonly #signature: GraphSignature;
  /** Logits come for the last position only: the graph was asked to, or declares one position. */
  readonly #lastLogits: boolean;
  /** Tokens up to which a sequence has the first of two rotary tables. */
  readonly #ropeSwitch: number | undefined;
  readonly #slots: number;
  /** For what goes in; ONNX Runtime takes it to the device. */
  readonly #inputs: OrtMemory;
  readonly #memory: RunnerMemory;
  readonly #runOptions: OrtRunOptions;
  readonly #cache: SlotCache;
  /** By first row and count; good for one allocation of the cache. */
  readonly #windows = new Map<string, RowWindow>();
  #step: StepTensors | undefined;
  #running: Promise<unknown> | undefined;
  #released: number[] = [];
  /** What a run of one token a row took last. */
  #decodeMs = Number.POSITIVE_INFINITY;

  constructor(
    session: OrtSession,
    signature: GraphSignature,
    options: RunnerOptions & Pick<ModelConfig, "ropeSwitch">,
    readonly model: ModelDescription,
    memory: RunnerMemory,
  ) {
    this.device = { ...options.device, kvCache: memory.cache.memory.device };
    this.#session = session;
    this.#signature = signature;
    const logits = session.outputs.find(({ name }) => name === signature.logits.name);
    this.#lastLogits = signature.logitsToKeep !== undefined || logits?.shape[1] === 1;
    this.#ropeSwitch = options.ropeSwitch;
    this.#slots = options.maxSequences;
    this.#inputs = OrtMemory.cpu(session.environment);
    this.#runOptions = OrtRunOptions.create(session.environment);
    const { cacheType: type, cache: entries } = signature;
    this.#memory = memory;
    this.#cache = new SlotCache({ ...memory.cache, type, entries });
  }

  async run(rows: readonly RunnerRow[]): Promise<readonly RowLogits[]> {
    if (this.#running !== undefined) throw planError("another step is still running");
    const running = this.#runRows(rows);
    this.#running = running;
    try {
      return await running;
    } catch (cause) {
      throw runFailure(cause);
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
      throw runFailure(cause);
    }
  }

  copy(from: number, to: number, tokens: number): void {
    this.#cache.copy(from, to, tokens);
  }

  /** During a step it takes effect after it. */
  release(slot: number): void {
    if (this.#running === undefined) this.#cache.release(slot);
    else this.#released.push(slot);
  }

  /** Ends a running step first. */
  async dispose(): Promise<void> {
    if (this.#session.disposed) return;
    this.#runOptions.terminate();
    await this.#running?.catch(() => {});
    this.#dropBindings();
    this.#cache.dispose();
    for (const memory of [this.#memory.cache, this.#memory.logits, this.#runOptions, this.#inputs]) memory.dispose();
    this.#session.dispose();
  }

  async #runRows(rows: readonly RunnerRow[]): Promise<readonly RowLogits[]> {
    for (const row of rows) this.#checkRow(row);
    if (new Set(rows.map(({ slot }) => slot)).size < rows.length) throw planError("a slot is in it twice");
    for (const { slot, past } of rows) {
      this.#cache.admit(slot);
      // Going back is only this: what lies beyond the length is never read.
      this.#cache.setLength(slot, past);
    }
    this.#makeRoom(Math.max(...rows.map(({ past, tokens }) => past + tokens.length)));
    const logits = new Map<RunnerRow, RowLogits>();
    // Before the prompts: what it moves goes by the lengths from before the step.
    const decoding = rows.filter((row) => row.tokens.length === 1);
    if (decoding.length > 0) await this.#runDecode(decoding, logits);
    for (const row of rows) if (row.tokens.length > 1) logits.set(row, atHand(await this.#runPrompt(row)));
    for (const { slot, past, tokens } of rows) this.#cache.setLength(slot, past + tokens.length);
    return rows.map((row) => logits.get(row) as RowLogits);
  }

  /** A prompt, in as many runs as it takes; the logits are copied, as those of the next prompt go to the same memory. */
  async #runPrompt({ slot, tokens, past, logits = 1 }: RunnerRow): Promise<Float32Array> {
    const { vocabSize } = this.model;
    const row = this.#cache.rowOf(slot) as number;
    const window = this.#window(row, 1);
    const step = this.#step as StepTensors;
    const shift = rotaryShift(this.#ropeSwitch, past + tokens.length);
    const wanted = new Float32Array(logits * vocabSize);
    const firstWanted = tokens.length - logits;
    for (let start = 0, end = 0; start < tokens.length; start = end) {
      end = Math.min(tokens.length, start + step.mostTokens(logits));
      const chunk = tokens.subarray(start, end);
      for (const [index, token] of chunk.entries()) step.feed(index, token, past + start + index, shift);
      step.setLength(row, past + end);
      const count = Math.max(0, end - Math.max(start, firstWanted));
      window.bind(chunk.length, Math.max(1, count));
      await this.#execute(window, this.#decodeMs * chunk.length);
      if (count > 0) wanted.set(window.logitsOf(row), (end - count - firstWanted) * vocabSize);
    }
    return wanted;
  }

  async #runDecode(decoding: readonly RunnerRow[], logits: Map<RunnerRow, RowLogits>): Promise<void> {
    this.#cache.arrange(decoding.map(({ slot }) => slot));
    const window = this.#window(0, decoding.length);
    for (const { slot, tokens, past } of decoding) {
      const row = this.#cache.rowOf(slot) as number;
      this.#step?.feed(row, tokens[0] as number, past, rotaryShift(this.#ropeSwitch, past + 1));
      this.#step?.setLength(row, past + 1);
    }
    window.bind(1);
    const start = performance.now();
    await this.#execute(window, this.#decodeMs);
    this.#decodeMs = performance.now() - start;
    const tops = decoding.some(({ top }) => top === true) ? window.top() : undefined;
    for (const row of decoding) {
      const at = this.#cache.rowOf(row.slot) as number;
      const top = row.top === true ? tops?.[at] : undefined;
      logits.set(row, { all: () => window.logitsOf(at), ...(top === undefined ? {} : { top }) });
    }
  }

  async #execute(window: RowWindow, expectedMs: number): Promise<void> {
    // CUDA keeps a context for every thread that runs.
    if (expectedMs < SYNC_BELOW_MS || this.device.provider === "cuda") window.run();
    else await window.runAsync();
  }

  /** Whoever did not reserve gets what it needs, and a little more. */
  #makeRoom(tokens: number): void {
    const { span, rows, tokens: capacity } = this.#cache;
    const needed = Math.min(this.model.contextLength, Math.ceil(tokens / SPARE_TOKENS) * SPARE_TOKENS);
    if (span > rows || tokens > capacity) this.#resize(Math.max(span, rows), Math.max(needed, capacity));
    else if (this.#step === undefined) this.#resize(rows, capacity);
  }

  #resize(rows: number, tokens: number): void {
    const { rows: oldRows, tokens: oldTokens } = this.#cache;
    // They hold the old memory.
    this.#dropBindings();
    this.#cache.reserve(rows, tokens);
    const memory = { inputs: this.#inputs, logits: this.#memory.logits.memory };
    try {
      this.#step = new StepTensors(memory, this.#signature, { rows, tokens, lastLogits: this.#lastLogits });
    } catch (error) {
      // Or every later step would want what there is no memory for.
      this.#cache.reserve(oldRows, oldTokens);
      throw error;
    }
  }

  #window(first: number, count: number): RowWindow {
    const key = `${first}+${count}`;
    let window = this.#windows.get(key);
    if (window === undefined) {
      const parts = { session: this.#session, signature: this.#signature, cache: this.#cache };
      const step = { step: this.#step as StepTensors, logits: this.#memory.logits, runOptions: this.#runOptions };
      window = new RowWindow({ ...parts, ...step }, first, count);
      this.#windows.set(key, window);
    }
    return window;
  }

  #dropBindings(): void {
    for (const window of this.#windows.values()) window.dispose();
    this.#windows.clear();
    this.#step?.dispose();
    this.#step = undefined;
  }

  /** The scheduler keeps these; breaking one would corrupt a sequence silently. */
  #checkRow({ slot, tokens, past }: RunnerRow): void {
    const { vocabSize, contextLength } = this.model;
    const end = past + tokens.length;
    const held = this.#cache.lengthOf(slot);
    if (!(slot >= 0 && slot < this.#slots)) throw planError(`slot ${slot} is not one of ${this.#slots}`);
    if (tokens.length === 0) throw planError(`slot ${slot} was given no tokens`);
    if (end > contextLength) throw planError(`slot ${slot} would hold ${end} tokens; the context is ${contextLength}`);
    if (past > held) throw planError(`slot ${slot} holds ${held} tokens, not ${past}`);
    if (tokens.some((id) => id < 0 || id >= vocabSize)) {
      throw planError(`a token id is outside the vocabulary of ${vocabSize}`);
    }
  }
}

function planError(what: string): VitrineError {
  return new VitrineError("inference_failed", `A step was planned wrongly: ${what}.`);
}
