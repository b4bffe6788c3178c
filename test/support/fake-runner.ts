import assert from "node:assert/strict";
import type { ModelRunner, RunnerRow } from "../../src/engine/runner.js";
import type { DeviceChoice, ModelDescription } from "../../src/protocol.js";

export interface FakeRunnerOptions {
  readonly vocabSize?: number;
  readonly contextLength?: number;
  /** Called before run number 1, 2, …; may throw, or hold the run back with a promise. */
  readonly beforeRun?: (run: number, rows: readonly RunnerRow[]) => Promise<void> | void;
  /** Logits after these tokens; by default they favour (last token + 1) mod vocabulary. */
  readonly logits?: (history: readonly number[], vocabSize: number) => Float32Array;
}

/**
 * A deterministic runner without tensors. It holds the engine to its side of the seam: one run at a time, no slot in
 * two rows, and a past that is exactly what the slot holds.
 */
export class FakeRunner implements ModelRunner {
  readonly model: ModelDescription;
  readonly device: DeviceChoice = { requested: "cpu", provider: "cpu", reason: "a test" };
  /** Rows of every run, with their tokens copied. */
  readonly runs: { readonly slot: number; readonly tokens: readonly number[]; readonly past: number }[][] = [];
  disposed = false;
  readonly #options: FakeRunnerOptions;
  readonly #slots = new Map<number, number[]>();
  #running = false;

  constructor(options: FakeRunnerOptions = {}) {
    this.#options = options;
    this.model = {
      name: "fake",
      dtype: "fp32",
      vocabSize: options.vocabSize ?? 32,
      contextLength: options.contextLength ?? 64,
      layers: 2,
      kvHeads: 2,
      headDim: 4,
      kvBytesPerToken: 128,
      weightBytes: 1000,
    };
  }

  /** Slots that hold something. */
  get slotsHeld(): number[] {
    return [...this.#slots.keys()].sort((a, b) => a - b);
  }

  async run(rows: readonly RunnerRow[]): Promise<readonly Float32Array[]> {
    assert.equal(this.#running, false, "run was called while another run was unfinished");
    assert.equal(this.disposed, false, "run was called after dispose");
    assert.ok(rows.length > 0, "a run without rows");
    assert.equal(new Set(rows.map(({ slot }) => slot)).size, rows.length, "a slot is in two rows of one run");
    this.#running = true;
    this.runs.push(rows.map(({ slot, tokens, past }) => ({ slot, tokens: [...tokens], past })));
    try {
      await this.#options.beforeRun?.(this.runs.length, rows);
      return rows.map((row) => this.#runRow(row));
    } finally {
      this.#running = false;
    }
  }

  release(slot: number): void {
    assert.equal(this.#running, false, "release was called during a run");
    this.#slots.delete(slot);
  }

  async dispose(): Promise<void> {
    this.disposed = true;
  }

  #runRow({ slot, tokens, past }: RunnerRow): Float32Array {
    assert.ok(tokens.length > 0, "a row without tokens");
    const held = past === 0 ? [] : (this.#slots.get(slot) ?? []);
    assert.equal(past, held.length, `slot ${slot} holds ${held.length} tokens`);
    const history = [...held, ...tokens];
    assert.ok(history.length <= this.model.contextLength, "a slot overflows");
    this.#slots.set(slot, history);
    return (this.#options.logits ?? favourNext)(history, this.model.vocabSize);
  }
}

function favourNext(history: readonly number[], vocabSize: number): Float32Array {
  const logits = new Float32Array(vocabSize);
  logits[((history.at(-1) ?? 0) + 1) % vocabSize] = 10;
  return logits;
}

/** Logits that look random and depend on the whole history: for outputs that any mix-up of sequences would change. */
export function hashedLogits(history: readonly number[], vocabSize: number): Float32Array {
  let hash = 2166136261;
  for (const token of history) hash = Math.imul(hash ^ (token + 1), 16777619);
  return Float32Array.from({ length: vocabSize }, (_, id) => {
    let word = Math.imul(hash ^ Math.imul(id + 1, 0x9e3779b1), 0x85ebca6b);
    word = Math.imul(word ^ (word >>> 15), 0xc2b2ae35);
    return ((word ^ (word >>> 13)) >>> 0) / 2 ** 30;
  });
}
