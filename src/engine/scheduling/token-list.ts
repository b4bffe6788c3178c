/** Token ids that only grow, but for the end: a typed array with room to spare. */
export class TokenList {
  #ids: Int32Array;
  #length: number;

  constructor(ids: Int32Array) {
    this.#ids = ids;
    this.#length = ids.length;
  }

  get length(): number {
    return this.#length;
  }

  push(id: number): void {
    if (this.#length === this.#ids.length) {
      const grown = new Int32Array(Math.max(16, 2 * this.#length));
      grown.set(this.#ids);
      this.#ids = grown;
    }
    this.#ids[this.#length++] = id;
  }

  at(index: number): number {
    return this.#ids[index] as number;
  }

  /** A view, good until the next `push`. */
  view(start = 0, end = this.#length): Int32Array {
    return this.#ids.subarray(start, end);
  }
}
