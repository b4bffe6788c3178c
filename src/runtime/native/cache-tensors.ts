import { type OrtMemory, OrtTensor } from "../../../native/ort.js";
import type { CacheTensor, FloatType } from "../signature/graph-signature.js";
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
 * The KV cache's memory: for every layer's keys and values one tensor `[rows, heads, tokens, headDim]`, and room for
 * heads of one of them on their way. What is in which row, and how much of it counts, others know.
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
      this.#options.copy(this.#heads(index, from * heads), this.#heads(index, to * heads), length * headDim, heads);
    }
  }

  /** So many tokens of two rows change places. */
  exchangeRows(low: number, lowLength: number, high: number, highLength: number): void {
    const { copy, entries } = this.#options;
    if (lowLength + highLength === 0) return;
    for (const [index, { heads, headDim }] of entries.entries()) {
      const [lowSize, highSize] = [lowLength * headDim, highLength * headDim];
      const count = this.#atOnce(heads);
      for (let head = 0; head < heads; head += count) {
        const [below, above] = [this.#heads(index, low * heads + head), this.#heads(index, high * heads + head)];
        copy(below, this.#aside(lowSize), lowSize, count);
        copy(above, below, highSize, count);
        copy(this.#aside(lowSize), above, lowSize, count);
      }
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
      copy(this.#heads(index, row * heads), to, length * headDim, rows * heads);
    };
    // On a device one more call costs more than tokens that nobody reads.
    if (memory.device === "cuda") move(0, lengths.length, Math.max(0, ...lengths));
    else for (const [row, length] of lengths.entries()) move(row, 1, length);
  }

  /** By way of the room for heads, from the end that nothing is moved across. */
  #moveWithin(index: number, target: Floats, { tokens }: Layout, lengths: readonly number[]): void {
    const { copy, entries } = this.#options;
    const { heads, headDim } = entries[index] as CacheEntry;
    const stride = tokens * headDim;
    const count = this.#atOnce(heads);
    const starts = Array.from({ length: (lengths.length * heads) / count }, (_, index) => index * count);
    if (tokens > this.#layout.tokens) starts.reverse();
    for (const first of starts) {
      const size = (lengths[Math.floor(first / heads)] as number) * headDim;
      copy(this.#heads(index, first), this.#aside(size), size, count);
      copy(this.#aside(size), { tensor: target, start: first * stride, stride }, size, count);
    }
  }

  /** How many heads are set aside together: on the CPU one, which then stays in the processor's cache. */
  #atOnce(heads: number): number {
    return this.#options.memory.device === "cuda" ? heads : 1;
  }

  /** From a head on, counted through all rows. */
  #heads(index: number, first: number): CacheBlocks {
    const { headDim } = this.#options.entries[index] as CacheEntry;
    const stride = this.#layout.tokens * headDim;
    return { tensor: this.#tensors[index] as Floats, start: first * stride, stride };
  }

  #aside(size: number): CacheBlocks {
    return { tensor: this.#spare as Floats, start: 0, stride: size };
  }

  #spareFor({ tokens }: Layout): Floats {
    const { memory, type, entries } = this.#options;
    const size = tokens * Math.max(...entries.map(({ heads, headDim }) => this.#atOnce(heads) * headDim));
    try {
      return OrtTensor.allocate(memory, type, [size]);
    } catch (error) {
      if (this.#spare === undefined || this.#spare.size < size) throw error;
      return this.#spare;
    }
  }
}
