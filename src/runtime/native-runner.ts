import { OrtMemory, OrtRunOptions, type OrtSession } from "../../native/ort.js";
import type { ModelRunner, RunnerRow } from "../engine/runner.js";
import { VitrineError } from "../errors.js";
import type { DeviceChoice, ModelDescription } from "../protocol.js";
import { type CacheMemory, openCacheMemory } from "./cache-memory.js";
import { describeModel } from "./describe-model.js";
import type { GraphFile } from "./graph-file.js";
import { type GraphSignature, readGraphSignature } from "./graph-signature.js";
import type { ModelConfig } from "./model-config.js";
import { createNativeSession } from "./native-session.js";
import type { RunnerOptions } from "./node-runner.js";
import { rotaryShift, withRopeSwitch } from "./rope-switch.js";
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
/** Idle rows that a decode step carries along rather than being two runs. */
const MOST_BRIDGED_ROWS = 4;

/**
 * The default runner: ONNX Runtime's C API, tensors bound once, KV cache updated in place, all decoding sequences in
 * one run. Prompts run one at a time, in chunks. Throws as `createNativeSession` does, and `model_unsupported` for
 * graphs whose cache cannot be updated in place.
 */
export async function createNativeRunner(options: RunnerOptions): Promise<ModelRunner> {
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
    const cacheMemory = await openCacheMemory(session, signature.cacheType, device);
    const runner = new NativeRunner(session, signature, { ...options, ropeSwitch }, model, cacheMemory);
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

class NativeRunner implements ModelRunner {
  readonly device: DeviceChoice;
  readonly #session: OrtSession;
  readonly #signature: GraphSignature;
  /** Logits come for the last position only: the graph was asked to, or declares one position. */
  readonly #lastLogits: boolean;
  /** Tokens up to which a sequence has the first of two rotary tables. */
  readonly #ropeSwitch: number | undefined;
  readonly #slots: number;
  /** For what goes in and comes out; ONNX Runtime takes it to the device and back. */
  readonly #memory: OrtMemory;
  readonly #cacheMemory: CacheMemory;
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
    cacheMemory: CacheMemory,
  ) {
    this.device = options.device;
    this.#session = session;
    this.#signature = signature;
    const logits = session.outputs.find(({ name }) => name === signature.logits.name);
    this.#lastLogits = signature.logitsToKeep !== undefined || logits?.shape[1] === 1;
    this.#ropeSwitch = options.ropeSwitch;
    this.#slots = options.maxSequences;
    this.#memory = OrtMemory.cpu(session.environment);
    this.#runOptions = OrtRunOptions.create(session.environment);
    const limits = { rows: options.maxSequences, tokens: model.contextLength };
    const { cacheType: type, cache: entries } = signature;
    this.#cacheMemory = cacheMemory;
    this.#cache = new SlotCache({ ...cacheMemory, type, entries, limits });
  }

  async run(rows: readonly RunnerRow[]): Promise<readonly Float32Array[]> {
    if (this.#running !== undefined) throw planError("another step is still running");
    const running = this.#runRows(rows);
    this.#running = running;
    try {
      return await running;
    } catch (cause) {
      throw VitrineError.from(cause, "inference_failed");
    } finally {
      this.#running = undefined;
      for (const slot of this.#released.splice(0)) this.#cache.release(slot);
    }
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
    this.#cacheMemory.dispose();
    this.#runOptions.dispose();
    this.#memory.dispose();
    this.#session.dispose();
  }

  async #runRows(rows: readonly RunnerRow[]): Promise<readonly Float32Array[]> {
    for (const row of rows) this.#checkRow(row);
    if (new Set(rows.map(({ slot }) => slot)).size < rows.length) throw planError("a slot is in it twice");
    for (const { slot, past } of rows) {
      this.#cache.admit(slot);
      // Going back is only this: what lies beyond the length is never read.
      this.#cache.setLength(slot, past);
    }
    this.#reserve(Math.max(...rows.map(({ past, tokens }) => past + tokens.length)));
    const logits = new Map<RunnerRow, Float32Array>();
    // Before the prompts: what it moves, or feeds to idle rows, goes by the lengths from before the step.
    const decoding = rows.filter((row) => row.tokens.length === 1);
    if (decoding.length > 0) await this.#runDecode(decoding, logits);
    for (const row of rows) if (row.tokens.length > 1) logits.set(row, await this.#runPrompt(row));
    for (const { slot, past, tokens } of rows) this.#cache.setLength(slot, past + tokens.length);
    return rows.map((row) => logits.get(row) as Float32Array);
  }

  async #runPrompt({ slot, tokens, past }: RunnerRow): Promise<Float32Array> {
    const row = this.#cache.rowOf(slot) as number;
    const window = this.#window(row, 1);
    const step = this.#step as StepTensors;
    const shift = rotaryShift(this.#ropeSwitch, past + tokens.length);
    for (let start = 0; start < tokens.length; start += step.promptTokens) {
      const chunk = tokens.subarray(start, start + step.promptTokens);
      for (const [index, token] of chunk.entries()) step.feed(index, token, past + start + index, shift);
      step.setMaskSum(row, past + start + chunk.length);
      window.bind(chunk.length);
      await this.#execute(window, this.#decodeMs * chunk.length);
    }
    // The next prompt's logits go to the same memory.
    return window.logitsOf(row).slice();
  }

  async #runDecode(decoding: readonly RunnerRow[], logits: Map<RunnerRow, Float32Array>): Promise<void> {
    this.#cache.compact();
    const byRow = new Map(decoding.map((row) => [this.#cache.rowOf(row.slot) as number, row]));
    for (const { first, count } of this.#segments([...byRow.keys()])) {
      const window = this.#window(first, count);
      for (let row = first; row < first + count; row++) this.#feedDecode(row, row - first, byRow.get(row)?.tokens[0]);
      window.bind(1);
      const start = performance.now();
      await this.#execute(window, this.#decodeMs);
      this.#decodeMs = performance.now() - start;
      for (let row = first; row < first + count; row++) {
        const fed = byRow.get(row);
        if (fed !== undefined) logits.set(fed, window.logitsOf(row));
      }
    }
  }

  /** An idle row is fed some token after its last: it writes beyond the row's length, where nothing is yet. */
  #feedDecode(row: number, index: number, token = 0): void {
    const length = this.#cache.lengthInRow(row);
    this.#step?.feed(index, token, length, rotaryShift(this.#ropeSwitch, length + 1));
    this.#step?.setMaskSum(row, length + 1);
  }

  /** Rows to decode as few runs over neighbours, with idle rows between them where there are few. */
  #segments(rows: number[]): { first: number; count: number }[] {
    const segments: { first: number; count: number }[] = [];
    for (const row of rows.sort((a, b) => a - b)) {
      const last = segments.at(-1);
      if (last !== undefined && this.#bridges(last.first + last.count, row)) last.count = row - last.first + 1;
      else segments.push({ first: row, count: 1 });
    }
    return segments;
  }

  #bridges(from: number, to: number): boolean {
    if (to - from > MOST_BRIDGED_ROWS) return false;
    for (let row = from; row < to; row++) if (this.#cache.lengthInRow(row) >= this.#cache.tokens) return false;
    return true;
  }

  async #execute(window: RowWindow, expectedMs: number): Promise<void> {
    // CUDA keeps a context for every thread that runs.
    if (expectedMs < SYNC_BELOW_MS || this.device.provider === "cuda") window.run();
    else await window.runAsync();
  }

  #reserve(tokens: number): void {
    if (this.#step !== undefined && this.#cache.fits(tokens)) return;
    // They hold the old memory.
    this.#dropBindings();
    this.#cache.reserve(tokens);
    const { rows, tokens: capacity } = this.#cache;
    const shape = { rows, tokens: capacity, lastLogits: this.#lastLogits };
    this.#step = new StepTensors(this.#memory, this.#signature, shape);
  }

  #window(first: number, count: number): RowWindow {
    const key = `${first}+${count}`;
    let window = this.#windows.get(key);
    if (window === undefined) {
      const parts = { session: this.#session, signature: this.#signature, cache: this.#cache };
      window = new RowWindow({ ...parts, step: this.#step as StepTensors, runOptions: this.#runOptions }, first, count);
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
