import type { OrtTensor } from "../../../native/ort.js";
import type { FloatType } from "../signature/graph-signature.js";
import { CacheTensors, type CacheTensorsOptions } from "./cache-tensors.js";

/**
 * The KV cache of all sequences, which a run updates in place. A sequence is one row of every tensor. The engine's slots
 * are names; rows of running sequences can be moved together (`arrange`), so that a decode step is one run over a view
 * of the first rows.
 */
export class SlotCache {
  readonly #memory: CacheTensors;
  /** The slot in each row; undefined where the row is free. */
  readonly #slotOfRow: (number | undefined)[] = [];
  readonly #rowOfSlot = new Map<number, number>();
  readonly #lengths: number[] = [];

  constructor(options: CacheTensorsOptions) {
    this.#memory = new CacheTensors(options);
  }

  /** In the order of the entries; other ones after `reserve`, whether it did what it was asked or not. */
  get tensors(): readonly OrtTensor<FloatType>[] {
    return this.#memory.all;
  }

  /** Rows that are allocated. */
  get rows(): number {
    return this.#memory.rows;
  }

  /** Tokens that a row holds at most, as allocated. */
  get tokens(): number {
    return this.#memory.tokens;
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
   * Memory for so many sequences, not less than there are, of `tokens` tokens each; what is beyond is lost. Throws
   * NativeError `out_of_memory`, and nothing has changed of what would have fit.
   */
  reserve(rows: number, tokens: number): void {
    if (rows === this.rows && tokens === this.tokens) return;
    this.#closeGaps();
    // A sequence that went back has more than anybody counts.
    for (const [row, length] of this.#lengths.entries()) this.#lengths[row] = Math.min(length, tokens);
    this.#memory.resize({ rows, tokens }, this.#lengths);
  }

  /** The sequence of slot `to` starts as the first `length` tokens of slot `from`. */
  copy(from: number, to: number, length: number): void {
    this.admit(to);
    const [source, target] = [this.#rowOfSlot.get(from), this.#rowOfSlot.get(to)] as [number, number];
    this.#memory.copyRow(source, target, length);
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
    this.#memory.dispose();
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
    this.#memory.exchangeRows(low, lowLength, high, highLength);
    const lowSlot = this.#slotOfRow[low];
    this.#place(this.#slotOfRow[high], highLength, low);
    this.#place(lowSlot, lowLength, high);
  }

  #place(slot: number | undefined, length: number, row: number): void {
    this.#slotOfRow[row] = slot;
    this.#lengths[row] = length;
    if (slot !== undefined) this.#rowOfSlot.set(slot, row);
  }

  /** Free rows at the end are none. */
  #trim(): void {
    while (this.#slotOfRow.length > 0 && this.#slotOfRow.at(-1) === undefined) this.#slotOfRow.pop();
    this.#lengths.length = this.#slotOfRow.length;
  }
}
