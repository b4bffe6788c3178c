import { type OrtMemory, OrtTensor } from "../../../native/ort.js";
import type { CacheTensor, FloatType } from "../graph-signature.js";
import type { CacheBlocks, CopyBlocks } from "./cache-memory.js";

type CacheEntry = Pick<CacheTensor, "heads" | "headDim">;
type Floats = OrtTensor<FloatType>;

export interface CacheTensorsOptions {
  readonly memory: OrtMemory;
  readonly copy: CopyBlocks;
  readonly type: FloatType;
  readonly entries: readonly CacheEntry[];
}

/** Sequences, and tokens that each has room for. */
interface Layout {
  readonly rows: number;
  readonly tokens: number;
}

/**
 * The KV cache's memory: for every layer's keys and values one tensor `[rows, heads, tokens, headDim]`, and room for one
 * row of one of them on its way. What is in which row, and how much of it counts, others know.
 */
export class CacheTensors {
  readonly #options: CacheTensorsOptions;
  #layout: Layout = { rows: 0, tokens: 0 };
  #tensors: Floats[] = [];
  #spare: Floats | undefined;

  constructor(options: CacheTensorsOptions) {
    this.#options = options;
  }

  /** In the order of the entries; other ones after `resize`. */
  get all(): readonly Floats[] {
    return this.#tensors;
  }

  get rows(): number {
    return this.#layout.rows;
  }

  get tokens(): number {
    return this.#layout.tokens;
  }

  /**
   * Another layout, which keeps `lengths[n]` tokens of row n, no more than fit either. Tensors change one at a time, so that
   * never more than one is there twice. Throws NativeError `out_of_memory`, and all is as it was then; a layout that
   * needs no more memory never does.
   */
  resize(layout: Layout, rowLengths: readonly number[]): void {
    // Rows that are to come have no memory yet.
    const lengths = rowLengths.slice(0, rowLengths.findLastIndex((length) => length > 0) + 1);
    const old = { layout: this.#layout, spare: this.#spare };
    this.#spare = this.#spareFor(layout);
    const { entries } = this.#options;
    for (const index of entries.keys()) {
      try {
        this.#tensors[index] = this.#inLayout(index, layout, lengths);
      } catch (error) {
        this.#layout = layout;
        this.#goBack(index, old.layout, lengths);
        if (this.#spare !== old.spare) this.#spare?.dispose();
        this.#spare = old.spare;
        throw error;
      }
    }
    if (this.#spare !== old.spare) old.spare?.dispose();
    this.#layout = layout;
  }

  /** The first `length` tokens of a row into another one. */
  copyRow(from: number, to: number, length: number): void {
    for (const [index, { heads, headDim }] of this.#options.entries.entries()) {
      this.#options.copy(this.#row(index, from), this.#row(index, to), length * headDim, heads);
    }
  }

  /** So many tokens of two rows change places. */
  exchangeRows(low: number, lowLength: number, high: number, highLength: number): void {
    const { copy, entries } = this.#options;
    if (lowLength + highLength === 0) return;
    for (const [index, { heads, headDim }] of entries.entries()) {
      const [below, above] = [this.#row(index, low), this.#row(index, high)];
      const aside = this.#aside(lowLength * headDim);
      copy(below, aside, lowLength * headDim, heads);
      copy(above, below, highLength * headDim, heads);
      copy(aside, above, lowLength * headDim, heads);
    }
  }

  dispose(): void {
    for (const tensor of [...this.#tensors, this.#spare]) tensor?.dispose();
    this.#tensors = [];
    this.#spare = undefined;
  }

  /** The first `count` tensors have the new layout already. */
  #goBack(count: number, layout: Layout, lengths: readonly number[]): void {
    for (let index = count - 1; index >= 0; index--) {
      if (layout.rows === 0) this.#tensors.pop()?.dispose();
      else this.#tensors[index] = this.#inLayout(index, layout, lengths);
    }
    this.#layout = layout;
  }

  /** What a tensor becomes, in memory of its own if there is any, or else in what it has where that is enough. */
  #inLayout(index: number, layout: Layout, lengths: readonly number[]): Floats {
    const { memory, type, entries } = this.#options;
    const { heads, headDim } = entries[index] as CacheEntry;
    const shape = [layout.rows, heads, layout.tokens, headDim];
    const old = this.#tensors[index];
    let next: Floats;
    try {
      next = OrtTensor.allocate(memory, type, shape);
    } catch (error) {
      if (old === undefined || layout.rows * heads * layout.tokens * headDim > old.size) throw error;
      next = old.view(0, shape);
      this.#moveWithin(index, next, layout, lengths);
      old.dispose();
      return next;
    }
    try {
      if (old !== undefined) this.#moveTo(index, next, layout, lengths);
    } catch (error) {
      next.dispose();
      throw error;
    }
    old?.dispose();
    return next;
  }

  #moveTo(index: number, target: Floats, { tokens }: Layout, lengths: readonly number[]): void {
    const { memory, copy, entries } = this.#options;
    const { heads, headDim } = entries[index] as CacheEntry;
    const stride = tokens * headDim;
    const move = (row: number, rows: number, length: number): void => {
      const to = { tensor: target, start: row * heads * stride, stride };
      copy(this.#row(index, row), to, length * headDim, rows * heads);
    };
    // On a device one more call costs more than tokens that nobody reads.
    if (memory.device === "cuda") move(0, lengths.length, Math.max(0, ...lengths));
    else for (const [row, length] of lengths.entries()) move(row, 1, length);
  }

  /** Row by row by way of the spare one, from the end that no row is moved across. */
  #moveWithin(index: number, target: Floats, { tokens }: Layout, lengths: readonly number[]): void {
    const { copy, entries } = this.#options;
    const { heads, headDim } = entries[index] as CacheEntry;
    const stride = tokens * headDim;
    const rows = [...lengths.keys()];
    if (tokens > this.#layout.tokens) rows.reverse();
    for (const row of rows) {
      const size = (lengths[row] as number) * headDim;
      copy(this.#row(index, row), this.#aside(size), size, heads);
      copy(this.#aside(size), { tensor: target, start: row * heads * stride, stride }, size, heads);
    }
  }

  /** The heads of a row. */
  #row(index: number, row: number): CacheBlocks {
    const { heads, headDim } = this.#options.entries[index] as CacheEntry;
    const stride = this.#layout.tokens * headDim;
    return { tensor: this.#tensors[index] as Floats, start: row * heads * stride, stride };
  }

  #aside(size: number): CacheBlocks {
    return { tensor: this.#spare as Floats, start: 0, stride: size };
  }

  #spareFor({ tokens }: Layout): Floats {
    const { memory, type, entries } = this.#options;
    const size = tokens * Math.max(...entries.map(({ heads, headDim }) => heads * headDim));
    try {
      return OrtTensor.allocate(memory, type, [size]);
    } catch (error) {
      if (this.#spare === undefined || this.#spare.size < size) throw error;
      return this.#spare;
    }
  }
}
