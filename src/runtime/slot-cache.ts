import { type OrtMemory, OrtTensor } from "../../native/ort.js";
import type { CopyElements } from "./cache-memory.js";
import type { CacheTensor, FloatType } from "./graph-signature.js";

export interface SlotCacheLimits {
  /** Most sequences at once. */
  readonly rows: number;
  /** Most tokens of one sequence. */
  readonly tokens: number;
}

/** What a first allocation holds; from there both double up to the limits. */
const FIRST_ROWS = 1;
const FIRST_TOKENS = 256;

type CacheEntry = Pick<CacheTensor, "heads" | "headDim">;

export interface SlotCacheOptions {
  readonly memory: OrtMemory;
  readonly copy: CopyElements;
  readonly type: FloatType;
  readonly entries: readonly CacheEntry[];
  readonly limits: SlotCacheLimits;
}

/**
 * The KV cache of all sequences: for every layer's keys and values one tensor `[rows, heads, tokens, headDim]` that a
 * run updates in place. A sequence is one row. The engine's slots are names; rows of running sequences can be moved
 * together (`compact`), so that a decode step is one run over a view of the first rows.
 */
export class SlotCache {
  readonly #options: SlotCacheOptions;
  /** The slot in each row; undefined where the row is free. */
  readonly #slotOfRow: (number | undefined)[] = [];
  readonly #rowOfSlot = new Map<number, number>();
  readonly #lengths: number[] = [];
  #tensors: readonly OrtTensor<FloatType>[] = [];
  #rows = 0;
  #tokens = 0;

  constructor(options: SlotCacheOptions) {
    this.#options = options;
  }

  /** In the order of the entries; other ones after `reserve` where it did not fit. */
  get tensors(): readonly OrtTensor<FloatType>[] {
    return this.#tensors;
  }

  /** Rows that are allocated. */
  get rows(): number {
    return this.#rows;
  }

  /** Tokens that a row holds at most, as allocated. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Rows up to the last one that a sequence is in. */
  get span(): number {
    return this.#slotOfRow.length;
  }

  rowOf(slot: number): number | undefined {
    return this.#rowOfSlot.get(slot);
  }

  /** Tokens in the slot; 0 where there is no sequence. */
  lengthOf(slot: number): number {
    const row = this.#rowOfSlot.get(slot);
    return row === undefined ? 0 : this.lengthInRow(row);
  }

  lengthInRow(row: number): number {
    return this.#lengths[row] ?? 0;
  }

  setLength(slot: number, length: number): void {
    const row = this.#rowOfSlot.get(slot);
    if (row !== undefined) this.#lengths[row] = length;
  }

  /** Gives the slot a row, the lowest that is free, if it has none. */
  admit(slot: number): void {
    if (this.#rowOfSlot.has(slot)) return;
    const hole = this.#slotOfRow.indexOf(undefined);
    const row = hole < 0 ? this.#slotOfRow.length : hole;
    this.#slotOfRow[row] = slot;
    this.#lengths[row] = 0;
    this.#rowOfSlot.set(slot, row);
  }

  release(slot: number): void {
    const row = this.#rowOfSlot.get(slot);
    if (row === undefined) return;
    this.#rowOfSlot.delete(slot);
    this.#slotOfRow[row] = undefined;
    this.#lengths[row] = 0;
    this.#trim();
  }

  /** True when all admitted sequences have room for `tokens` tokens each. */
  fits(tokens: number): boolean {
    return this.span <= this.#rows && tokens <= this.#tokens;
  }

  /**
   * Makes room for all admitted sequences with `tokens` tokens each, in other memory where they do not fit. Throws
   * NativeError `out_of_memory`, and nothing has changed then.
   */
  reserve(tokens: number): void {
    if (this.fits(tokens)) return;
    const { limits, entries } = this.#options;
    const rows = grown(this.#rows || FIRST_ROWS, this.span, limits.rows);
    const capacity = grown(this.#tokens || FIRST_TOKENS, tokens, limits.tokens);
    const old = this.#tensors;
    const next = this.#allocate(rows, capacity);
    for (const [index, entry] of entries.entries()) {
      const source = old[index];
      if (source === undefined) continue;
      this.#copyRows(source, next[index] as OrtTensor<FloatType>, entry, capacity);
      source.dispose();
    }
    this.#tensors = next;
    this.#rows = rows;
    this.#tokens = capacity;
  }

  /** Moves sequences into free rows below them, so that they are in rows 0 to n - 1. */
  compact(): void {
    for (let hole = this.#slotOfRow.indexOf(undefined); hole >= 0; hole = this.#slotOfRow.indexOf(undefined)) {
      this.#move(this.#slotOfRow.length - 1, hole);
      this.#trim();
    }
  }

  dispose(): void {
    for (const tensor of this.#tensors) tensor.dispose();
    this.#tensors = [];
  }

  #allocate(rows: number, tokens: number): OrtTensor<FloatType>[] {
    const { memory, type, entries } = this.#options;
    const made: OrtTensor<FloatType>[] = [];
    try {
      for (const { heads, headDim } of entries) {
        made.push(OrtTensor.allocate(memory, type, [rows, heads, tokens, headDim]));
      }
      return made;
    } catch (error) {
      for (const tensor of made) tensor.dispose();
      throw error;
    }
  }

  #copyRows(
    source: OrtTensor<FloatType>,
    target: OrtTensor<FloatType>,
    { heads, headDim }: CacheEntry,
    capacity: number,
  ): void {
    for (const [row, length] of this.#lengths.entries()) {
      for (let head = row * heads; head < (row + 1) * heads; head++) {
        const start = head * this.#tokens * headDim;
        this.#options.copy(source, start, target, head * capacity * headDim, length * headDim);
      }
    }
  }

  #move(from: number, to: number): void {
    const length = this.lengthInRow(from);
    for (const [index, { heads, headDim }] of this.#options.entries.entries()) {
      const tensor = this.#tensors[index] as OrtTensor<FloatType>;
      for (let head = 0; head < heads; head++) {
        const start = (from * heads + head) * this.#tokens * headDim;
        this.#options.copy(tensor, start, tensor, (to * heads + head) * this.#tokens * headDim, length * headDim);
      }
    }
    const slot = this.#slotOfRow[from] as number;
    this.#slotOfRow[from] = undefined;
    this.#slotOfRow[to] = slot;
    this.#lengths[to] = length;
    this.#lengths[from] = 0;
    this.#rowOfSlot.set(slot, to);
  }

  /** Free rows at the end are none. */
  #trim(): void {
    while (this.#slotOfRow.length > 0 && this.#slotOfRow.at(-1) === undefined) this.#slotOfRow.pop();
    this.#lengths.length = this.#slotOfRow.length;
  }
}

/** The capacity doubled until `needed` fits, at most the limit. */
function grown(capacity: number, needed: number, limit: number): number {
  let next = capacity;
  while (next < needed) next *= 2;
  return Math.min(next, limit);
}
