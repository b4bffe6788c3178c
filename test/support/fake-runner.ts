import assert from "node:assert/strict";
import {
  type ModelRunner,
  type RowLogits,
  type RunnerRow,
  TOP_LOGITS,
  type TopLogits,
} from "../../src/engine/runner.js";
import { VitrineError } from "../../src/errors.js";
import type { DeviceChoice, ModelDescription } from "../../src/protocol.js";

export interface FakeRunnerOptions {
  readonly vocabSize?: number;
  readonly contextLength?: number;
  /** Called before run number 1, 2, …; may throw, or hold the run back with a promise. */
  readonly beforeRun?: (run: number, rows: readonly RunnerRow[]) => Promise<void> | void;
  /** Most rows times tokens of cache that can be had. */
  readonly memory?: number;
  readonly rewinds?: boolean;
  /** Copying from slot to slot fails. */
  readonly copyFails?: boolean;
  /** Offers the likeliest tokens of a row that is content with them. */
  readonly onDevice?: boolean;
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
  readonly rewinds: boolean;
  /** Rows of which all logits were read. */
  rowsRead = 0;
  disposed = false;
  readonly #options: FakeRunnerOptions;
  readonly #slots = new Map<number, number[]>();
  #running = false;
  #shape = { rows: 0, tokens: 0 };

  constructor(options: FakeRunnerOptions = {}) {
    this.#options = options;
    this.rewinds = options.rewinds ?? true;
    this.model = {
      name: "fake",
      dtype: "fp32",
      vocabSize: options.vocabSize ?? 32,
      contextLength: options.contextLength ?? 64,
      layers: 2,
      kvHeads: 2,
      headDim: 4,
      kvBytesPerToken: 128,
      kvTensorBytesPerToken: 32,
      weightBytes: 1000,
    };
  }

  /** Slots that hold something. */
  get slotsHeld(): number[] {
    return [...this.#slots.keys()].sort((a, b) => a - b);
  }

  async run(rows: readonly RunnerRow[]): Promise<readonly RowLogits[]> {
    assert.equal(this.#running, false, "run was called while another run was unfinished");
    assert.equal(this.disposed, false, "run was called after dispose");
    assert.ok(rows.length > 0, "a run without rows");
    assert.equal(new Set(rows.map(({ slot }) => slot)).size, rows.length, "a slot is in two rows of one run");
    this.#running = true;
    this.runs.push(rows.map(({ slot, tokens, past }) => ({ slot, tokens: [...tokens], past })));
    try {
      await this.#options.beforeRun?.(this.runs.length, rows);
      return rows.map((row) => this.#rowLogits(row));
    } catch (error) {
      // Nobody can rely on what they held.
      for (const { slot } of rows) this.#slots.set(slot, []);
      throw error;
    } finally {
      this.#running = false;
    }
  }

  reserve(rows: number, tokens: number): void {
    assert.equal(this.#running, false, "reserve was called during a run");
    assert.ok(rows >= this.#slots.size, "reserve gives up a slot in use");
    if (rows * tokens > (this.#options.memory ?? Number.POSITIVE_INFINITY)) {
      throw new VitrineError("out_of_memory", "no memory to grow");
    }
    this.#shape = { rows, tokens };
    for (const held of this.#slots.values()) held.length = Math.min(held.length, tokens);
  }

  copy(from: number, to: number, tokens: number): void {
    assert.ok(this.rewinds, "copy was called on a runner that cannot");
    const source = this.#slots.get(from) ?? [];
    assert.ok(tokens <= source.length, "copy of tokens that the slot does not hold");
    assert.ok(!this.#slots.has(to), "copy to a slot in use");
    if (this.#options.copyFails) {
      // It had a row already when the copying failed.
      this.#slots.set(to, []);
      throw new VitrineError("out_of_memory", "no memory to copy");
    }
    this.#slots.set(to, source.slice(0, tokens));
  }

  release(slot: number): void {
    assert.equal(this.#running, false, "release was called during a run");
    this.#slots.delete(slot);
  }

  async dispose(): Promise<void> {
    this.disposed = true;
  }

  /** As a runner on a device has them, with `top`; reading all of them is counted. */
  #rowLogits(row: RunnerRow): RowLogits {
    const logits = this.#runRow(row);
    const all = (): Float32Array => {
      this.rowsRead++;
      return logits;
    };
    return this.#options.onDevice && row.top === true ? { all, top: topOf(logits) } : { all };
  }

  #runRow({ slot, tokens, past, logits = 1 }: RunnerRow): Float32Array {
    const { contextLength, vocabSize } = this.model;
    assert.ok(tokens.length > 0, "a row without tokens");
    assert.ok(logits <= tokens.length, "more logits than tokens");
    const held = past === 0 ? [] : (this.#slots.get(slot) ?? []);
    assert.ok(this.rewinds ? past <= held.length : past === held.length, `slot ${slot} holds ${held.length} tokens`);
    const history = [...held.slice(0, past), ...tokens];
    assert.ok(history.length <= Math.min(contextLength, this.#shape.tokens), "a slot overflows");
    this.#slots.set(slot, history);
    assert.ok(this.#slots.size <= this.#shape.rows, "more slots than memory for them");
    const logitsOf = this.#options.logits ?? favourNext;
    const rows = new Float32Array(logits * vocabSize);
    for (let i = 0; i < logits; i++) {
      rows.set(logitsOf(history.slice(0, history.length - logits + 1 + i), vocabSize), i * vocabSize);
    }
    return rows;
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

/** The likeliest tokens, found by sorting all of them. */
export function topOf(logits: Float32Array): TopLogits {
  const ids = [...logits.keys()].sort((a, b) => (logits[b] as number) - (logits[a] as number) || a - b);
  const kept = Int32Array.from(ids.slice(0, TOP_LOGITS));
  return { ids: kept, logits: Float32Array.from(kept, (id) => logits[id] as number) };
}
