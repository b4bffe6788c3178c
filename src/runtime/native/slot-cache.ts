import { type OrtMemory, OrtTensor } from "../../../native/ort.js";
import type { CacheTensor, FloatType } from "../graph-signature.js";
import type { CopyElements } from "./cache-memory.js";

type CacheEntry = Pick<CacheTensor, "heads" | "headDim">;

export interface SlotCacheOptions {
  readonly memory: OrtMemory;
  readonly copy: CopyElements;
  readonly type: FloatType;
  readonly entries: readonly CacheEntry[];
}

/**
 * The KV cache of all sequences: for every layer's keys and values one tensor `[rows, heads, tokens, headDim]` that a
 * run updates in place. A sequence is one row. The engine's slots are names; rows of running sequences can be moved
 * together (`arrange`), so that a decode step is one run over a view of the first rows.
 */
export class SlotCache {
  readonly #options: SlotCacheOptions;
  /** The slot in each row; undefined where the row is free. */
  readonly #slotOfRow: (number | undefined)[] = [];
  readonly #rowOfSlot = new Map<number, number>();
  readonly #lengths: number[] = [];
  #tensors: readonly OrtTensor<FloatType>[] = [];
  #scratch: OrtTensor<FloatType> | undefined;
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

  /**
   * Memory for so many sequences, not less than there are, of `tokens` tokens each; what is beyond is lost. Throws NativeError
   * `out_of_memory`, and nothing has changed then.
   */
  reserve(rows: number, tokens: number): void {
    if (rows === this.#rows && tokens === this.#tokens) return;
    this.#closeGaps();
    const { entries } = this.#options;
    const old = this.#tensors;
    const next = this.#allocate(rows, tokens);
    // A sequence that went back has more than anybody counts.
    for (const [row, length] of this.#lengths.entries()) this.#lengths[row] = Math.min(length, tokens);
    for (const [index, entry] of entries.entries()) {
      const source = old[index];
      if (source === undefined) continue;
      this.#copyRows(source, next[index] as OrtTensor<FloatType>, entry, tokens);
      source.dispose();
    }
    this.#scratch?.dispose();
    this.#scratch = undefined;
    this.#tensors = next;
    this.#rows = rows;
    this.#tokens = tokens;
  }

  /** The sequence of slot `to` starts as the first `length` tokens of slot `from`. */
  copy(from: number, to: number, length: number): void {
    this.admit(to);
    const [source, target] = [this.#rowOfSlot.get(from), this.#rowOfSlot.get(to)] as [number, number];
    this.#forEachHead(source, target, (tensor, start, end, headDim) =>
      this.#options.copy(tensor, start, tensor, end, length * headDim),
    );
    this.#lengths[target] = length;
  }

  /** Moves these sequences into the first rows, so that one run covers them and no other. */
  arrange(slots: readonly number[]): void {
    const outside = slots.filter((slot) => (this.#rowOfSlot.get(slot) as number) >= slots.length);
    if (outside.length === 0) return;
    const inside = new Set(slots);
    for (let row = 0; row < slots.length; row++) {
      const slot = this.#slotOfRow[row];
      if (slot !== undefined && inside.has(slot)) continue;
      this.#exchange(row, this.#rowOfSlot.get(outside.pop() as number) as number);
    }
    this.#trim();
  }

  dispose(): void {
    for (const tensor of [...this.#tensors, this.#scratch]) tensor?.dispose();
    this.#tensors = [];
    this.#scratch = undefined;
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

  /** Rows in use become the first ones. */
  #closeGaps(): void {
    for (let hole = this.#slotOfRow.indexOf(undefined); hole >= 0; hole = this.#slotOfRow.indexOf(undefined)) {
      this.#exchange(hole, this.#slotOfRow.length - 1);
      this.#trim();
    }
  }

  /** What is in the two rows changes places. */
  #exchange(low: number, high: number): void {
    const [lowLength, highLength] = [this.lengthInRow(low), this.lengthInRow(high)];
    const { copy } = this.#options;
    const scratch = lowLength > 0 ? this.#spareHead() : undefined;
    this.#forEachHead(low, high, (tensor, lowStart, highStart, headDim) => {
      if (scratch) copy(tensor, lowStart, scratch, 0, lowLength * headDim);
      copy(tensor, highStart, tensor, lowStart, highLength * headDim);
      if (scratch) copy(scratch, 0, tensor, highStart, lowLength * headDim);
    });
    const lowSlot = this.#slotOfRow[low];
    this.#place(this.#slotOfRow[high], highLength, low);
    this.#place(lowSlot, lowLength, high);
  }

  #place(slot: number | undefined, length: number, row: number): void {
    this.#slotOfRow[row] = slot;
    this.#lengths[row] = length;
    if (slot !== undefined) this.#rowOfSlot.set(slot, row);
  }

  /** Memory for one head of a row on its way. */
  #spareHead(): OrtTensor<FloatType> {
    const { memory, type, entries } = this.#options;
    this.#scratch ??= OrtTensor.allocate(memory, type, [
      this.#tokens * Math.max(...entries.map(({ headDim }) => headDim)),
    ]);
    return this.#scratch;
  }

  /** Calls with the two starts of every head of the rows, for all layers' keys and values. */
  #forEachHead(
    a: number,
    b: number,
    call: (tensor: OrtTensor<FloatType>, a: number, b: number, headDim: number) => void,
  ): void {
    for (const [index, { heads, headDim }] of this.#options.entries.entries()) {
      const size = this.#tokens * headDim;
      for (let head = 0; head < heads; head++) {
        call(
          this.#tensors[index] as OrtTensor<FloatType>,
          (a * heads + head) * size,
          (b * heads + head) * size,
          headDim,
        );
      }
    }
  }

  /** Free rows at the end are none. */
  #trim(): void {
    while (this.#slotOfRow.length > 0 && this.#slotOfRow.at(-1) === undefined) this.#slotOfRow.pop();
    this.#lengths.length = this.#slotOfRow.length;
  }
}
