import { OrtMemory, type OrtRunOptions, type OrtSession } from "../../../native/ort.js";
import type { RowLogits, RunnerRow } from "../../engine/runner.js";
import { rotaryShift } from "../rope-switch.js";
import type { GraphSignature } from "../signature/graph-signature.js";
import { stepFailure } from "../step-failure.js";
import type { LogitsMemory } from "./logits-memory.js";
import type { RowWindow } from "./row-window.js";
import type { SlotCache } from "./slot-cache.js";
import type { InputDevice } from "./step-input.js";
import { plainRunOptions, StepReplay } from "./step-replay.js";
import { StepWindows } from "./step-windows.js";

/**
 * A run expected to be shorter stays on this thread: decode steps, but for the largest models. The way to another one
 * costs 15 us where a core is idle and near 1 ms where ONNX Runtime's threads spin on all of them. Commands wait for the
 * end of a step in any case.
 */
const SYNC_BELOW_MS = 50;

export interface StepRunsOptions {
  readonly session: OrtSession;
  readonly signature: GraphSignature;
  readonly cache: SlotCache;
  readonly logits: LogitsMemory;
  /** Where runs read what they are fed; undefined where that is this process's memory. */
  readonly inputs: InputDevice | undefined;
  /** Tokens up to which a sequence has the first of two rotary tables. */
  readonly ropeSwitch: number | undefined;
  /** Runs stay on this thread: a device keeps a context, and what it captured, for each. */
  readonly onOneThread: boolean;
  /** Why decode steps are not replayed, as a sentence. */
  readonly noReplay: string | undefined;
}

/** The runs that a step is, over rows of the cache: one for all that decode, and some for each prompt. */
export class StepRuns {
  /** Undefined where decode steps are never replayed. */
  readonly replay: StepReplay | undefined;
  readonly #options: StepRunsOptions;
  /** Logits come for the last position only: the graph was asked to, or declares one position. */
  readonly #lastLogits: boolean;
  /** Where this process writes what is fed. */
  readonly #host: OrtMemory;
  readonly #runOptions: OrtRunOptions;
  /** Good for one allocation of the cache. */
  #windows: StepWindows | undefined;
  /** What a run of one token a row took last. */
  #decodeMs = Number.POSITIVE_INFINITY;

  constructor(options: StepRunsOptions) {
    const { session, signature, cache, noReplay } = options;
    const { environment, outputs } = session;
    this.#options = options;
    const logits = outputs.find(({ name }) => name === signature.logits.name);
    this.#lastLogits = signature.logitsToKeep !== undefined || logits?.shape[1] === 1;
    this.#host = OrtMemory.cpu(environment);
    this.#runOptions = plainRunOptions(environment);
    this.replay = noReplay === undefined ? new StepReplay(environment, cache) : undefined;
  }

  /** Nothing is bound to the cache: it may move. */
  get unbound(): boolean {
    return this.#windows === undefined;
  }

  /** Binds to the cache as it is now. Throws NativeError `out_of_memory`. */
  bind(): void {
    this.unbind();
    const { inputs, logits } = this.#options;
    const device = (name: string) => (inputs?.reads(name) ? inputs.memory : undefined);
    const memory = { input: (name: string) => ({ host: this.#host, device: device(name) }), logits: logits.memory };
    const runs = { memory, lastLogits: this.#lastLogits, runOptions: this.#runOptions };
    this.#windows = new StepWindows({ ...this.#options, ...runs });
  }

  unbind(): void {
    this.#options.logits.forget?.();
    this.#windows?.dispose();
    this.#windows = undefined;
    this.replay?.forget();
  }

  /** One token for each of the sequences, which move to the cache's first rows. Logits are good until the next run. */
  async decode(rows: readonly RunnerRow[]): Promise<Map<RunnerRow, RowLogits>> {
    const { cache } = this.#options;
    cache.arrange(rows.map(({ slot }) => slot));
    // What is read on the CPU is the same in every step, or it could not be replayed.
    (this.#windows as StepWindows).step.setTotal(cache.tokens);
    for (const { slot, tokens, past } of rows) this.#feedRow(cache.rowOf(slot) as number, tokens[0] as number, past);
    const window = this.#replayed(rows.length) ?? (await this.#ranPlainly(rows.length));
    const tops = rows.some(({ top }) => top === true) ? window.top() : undefined;
    const logits = rows.map((row): [RunnerRow, RowLogits] => {
      const at = cache.rowOf(row.slot) as number;
      const top = row.top === true ? tops?.[at] : undefined;
      return [row, { all: () => this.#logitsOf(window, at), ...(top === undefined ? {} : { top }) }];
    });
    return new Map(logits);
  }

  /** A prompt, in as many runs as it takes; the logits are copied, as those of the next prompt go to the same memory. */
  async prompt({ slot, tokens, past, logits = 1 }: RunnerRow): Promise<Float32Array> {
    const { cache, signature, ropeSwitch } = this.#options;
    const row = cache.rowOf(slot) as number;
    const windows = this.#windows as StepWindows;
    const { step } = windows;
    const window = windows.plain(row, 1);
    const shift = rotaryShift(ropeSwitch, past + tokens.length);
    const wanted = new Float32Array(logits * signature.vocabSize);
    const firstWanted = tokens.length - logits;
    for (let start = 0, end = 0; start < tokens.length; start = end) {
      end = Math.min(tokens.length, start + step.mostTokens(logits));
      const chunk = tokens.subarray(start, end);
      for (const [index, token] of chunk.entries()) step.feed(index, token, past + start + index, shift);
      step.setLength(row, past + end);
      // Kernels that compute all scores make room for so many, and multiply them.
      step.setTotal(past + end);
      const count = Math.max(0, end - Math.max(start, firstWanted));
      window.bind(chunk.length, Math.max(1, count));
      await this.#execute(window, this.#decodeMs * chunk.length);
      if (count > 0) wanted.set(window.logitsOf(row), (end - count - firstWanted) * signature.vocabSize);
    }
    return wanted;
  }

  /** Runs now or later stop, and throw. */
  terminate(): void {
    this.#runOptions.terminate();
  }

  dispose(): void {
    this.unbind();
    for (const used of [this.#runOptions, this.#host]) used.dispose();
  }

  /** A spare row's token goes behind what its row holds, where nobody reads. */
  #replayed(count: number): RowWindow | undefined {
    const feedSpare = (row: number): void => this.#feedRow(row, 0, this.#options.cache.lengthInRow(row));
    return this.replay?.take({ count, windows: this.#windows as StepWindows, feedSpare });
  }

  async #ranPlainly(count: number): Promise<RowWindow> {
    const window = (this.#windows as StepWindows).plain(0, count);
    window.bind(1);
    const start = performance.now();
    await this.#execute(window, this.#decodeMs);
    this.#decodeMs = performance.now() - start;
    return window;
  }

  #logitsOf(window: RowWindow, row: number): Float32Array {
    try {
      return window.logitsOf(row);
    } catch (cause) {
      throw stepFailure(cause, this.#options.session.stream);
    }
  }

  #feedRow(row: number, token: number, past: number): void {
    const { step } = this.#windows as StepWindows;
    step.feed(row, token, past, rotaryShift(this.#options.ropeSwitch, past + 1));
    step.setLength(row, past + 1);
  }

  async #execute(window: RowWindow, expectedMs: number): Promise<void> {
    if (expectedMs < SYNC_BELOW_MS || this.#options.onOneThread) window.run();
    else await window.runAsync();
  }
}
