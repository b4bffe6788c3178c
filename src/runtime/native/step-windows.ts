import type { OrtRunOptions } from "../../../native/ort.js";
import { RowWindow, type WindowParts } from "./row-window.js";
import { type StepMemory, StepTensors } from "./step-tensors.js";

export interface StepWindowsOptions extends Omit<WindowParts, "step"> {
  readonly memory: StepMemory;
  /** The graph gives logits for the last position only. */
  readonly lastLogits: boolean;
  /** Of plain runs. */
  readonly runOptions: OrtRunOptions;
}

/** What is good for one allocation of the cache: the tensors of a step, and windows over rows, each made once. */
export class StepWindows {
  readonly step: StepTensors;
  readonly #options: StepWindowsOptions;
  /** By first row and count. */
  readonly #plain = new Map<string, RowWindow>();
  readonly #captured: RowWindow[] = [];

  /** Throws NativeError `out_of_memory`. */
  constructor(options: StepWindowsOptions) {
    const { cache, memory, signature, lastLogits } = options;
    this.#options = options;
    this.step = new StepTensors(memory, signature, { rows: cache.rows, tokens: cache.tokens, lastLogits });
  }

  /** For runs of any shape. */
  plain(first: number, count: number): RowWindow {
    const key = `${first}+${count}`;
    const window = this.#plain.get(key) ?? this.#open(first, count, this.#options.runOptions);
    this.#plain.set(key, window);
    return window;
  }

  /** Over the first rows, for runs that `runOptions` say are captured; they stay the caller's. */
  captured(count: number, runOptions: OrtRunOptions): RowWindow {
    const window = this.#open(0, count, runOptions);
    this.#captured.push(window);
    return window;
  }

  dispose(): void {
    for (const window of [...this.#plain.values(), ...this.#captured]) window.dispose();
    this.#plain.clear();
    this.#captured.length = 0;
    this.step.dispose();
  }

  #open(first: number, count: number, runOptions: OrtRunOptions): RowWindow {
    return new RowWindow({ ...this.#options, step: this.step }, { first, count }, runOptions);
  }
}
