import { VitrineError } from "../../errors.js";
import type { Micros } from "../../protocol.js";
import type { ModelRunner } from "../runner.js";
import { type CacheLimits, type CacheShape, cellsOf, grownShape, halfway } from "./cache-shape.js";

export interface MemoryPoolOptions extends CacheLimits {
  /** Makes the tensors larger. */
  readonly reserve: ModelRunner["reserve"];
  readonly clock: () => Micros;
}

/** What it took to have more memory, or to learn that there is none. In cells, each one token's. */
export interface PoolGrowth {
  readonly start: Micros;
  readonly end: Micros;
  /** Allocated before and after. */
  readonly from: number;
  readonly to: number;
  /** The most that was asked for and not had; 0 when all was. */
  readonly refused: number;
}

/** The memory that all slots share: how large it is, how large it may be, and what its growth has cost. */
export class MemoryPool {
  readonly #options: MemoryPoolOptions;
  #shape: CacheShape = { rows: 0, tokens: 0 };
  /** Most cells; less than the limit while memory has turned out to be short. */
  #most: number;
  #growths = 0;
  #refusals = 0;
  #micros: Micros = 0;
  #untold: PoolGrowth | undefined;

  constructor(options: MemoryPoolOptions) {
    this.#options = options;
    this.#most = this.limit;
  }

  /** Most cells there can ever be. */
  get limit(): number {
    const { rows, tokens, cells } = this.#options;
    return Math.min(cells, rows * tokens);
  }

  /** Tokens that a sequence can have in it as it is. */
  get tokens(): number {
    return this.#shape.tokens;
  }

  /** Cells that are allocated. */
  get cells(): number {
    return cellsOf(this.#shape);
  }

  /** Times it was made larger. */
  get growths(): number {
    return this.#growths;
  }

  /** Allocations that failed. */
  get refusals(): number {
    return this.#refusals;
  }

  /** Time spent in both. */
  get growing(): Micros {
    return this.#micros;
  }

  holds(rows: number, tokens: number): boolean {
    return rows <= this.#shape.rows && tokens <= this.#shape.tokens;
  }

  /** Whoever took the memory may have given it back: what was refused may be asked for again. */
  forgetRefusals(): void {
    this.#most = this.limit;
  }

  /**
   * Room for what is needed: with some to spare where there is memory for it, with less where there is less, or by dividing
   * otherwise what there is. False when there is none. After a refusal it grows no more.
   */
  grow(needed: CacheShape): boolean {
    const roomy = grownShape(this.#shape, needed, { ...this.#options, cells: this.#most });
    if (roomy === undefined) return false;
    const from = this.cells;
    const start = this.#options.clock();
    const divided = grownShape(this.#shape, needed, { ...this.#options, cells: Math.min(from, this.#most) });
    const shapes = [roomy, halfway(needed, roomy), divided ?? needed];
    const grown = shapes.find((shape, index) => !shapes.slice(0, index).some(sameAs(shape)) && this.#reserve(shape));
    const end = this.#options.clock();
    const refused = grown === roomy ? 0 : cellsOf(roomy);
    if (grown !== undefined) {
      this.#shape = grown;
      this.#growths++;
    }
    if (refused > 0) this.#most = Math.max(from, this.cells, 1);
    this.#micros += end - start;
    const first = this.#untold ?? { start, from, refused };
    this.#untold = { ...first, end, to: this.cells, refused: Math.max(first.refused, refused) };
    return grown !== undefined;
  }

  /** What happened since the last call; undefined when nothing did. */
  takeGrowth(): PoolGrowth | undefined {
    const growth = this.#untold;
    if (growth !== undefined) this.#untold = undefined;
    return growth;
  }

  #reserve({ rows, tokens }: CacheShape): boolean {
    try {
      this.#options.reserve(rows, tokens);
      return true;
    } catch (error) {
      if (error instanceof VitrineError && error.code === "engine_lost") throw error;
      this.#refusals++;
      return false;
    }
  }
}

const sameAs =
  (shape: CacheShape) =>
  ({ rows, tokens }: CacheShape): boolean =>
    rows === shape.rows && tokens === shape.tokens;
