import { Fifo } from "./fifo.js";

const MOST = 10;

interface Prioritized {
  readonly request: { readonly priority: number };
}

/** Requests that wait: higher priorities first, first in, first out within one. Every operation takes constant time. */
export class RequestQueue<T extends Prioritized> {
  /** Highest priority first. */
  readonly #queues = Array.from({ length: 2 * MOST + 1 }, () => new Fifo<T>());
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Next to be served. */
  get first(): T | undefined {
    if (this.#size === 0) return undefined;
    return this.#queues.find(({ size }) => size > 0)?.first;
  }

  push(item: T): void {
    this.#queueOf(item).push(item);
    this.#size++;
  }

  /** Ahead of all of its priority: it was served before. */
  putBack(item: T): void {
    this.#queueOf(item).unshift(item);
    this.#size++;
  }

  /** True when the item was there. */
  delete(item: T): boolean {
    const found = this.#queueOf(item).delete(item);
    if (found) this.#size--;
    return found;
  }

  *[Symbol.iterator](): Generator<T, void> {
    for (const queue of this.#queues) yield* queue;
  }

  #queueOf({ request }: T): Fifo<T> {
    const index = MOST - Math.max(-MOST, Math.min(MOST, Math.trunc(request.priority)));
    return this.#queues[index] as Fifo<T>;
  }
}
