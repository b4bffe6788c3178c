import type { Exchange } from "./exchange.js";

/** Generating requests that are not over. */
export class LiveExchanges {
  readonly #exchanges = new Set<Exchange>();
  readonly #idleListeners = new Set<() => void>();

  add(exchange: Exchange): void {
    this.#exchanges.add(exchange);
  }

  delete(exchange: Exchange): void {
    this.#exchanges.delete(exchange);
    if (this.#exchanges.size > 0) return;
    for (const listener of this.#idleListeners) listener();
  }

  /** A copy, which may be gone through while exchanges end. */
  all(): readonly Exchange[] {
    return [...this.#exchanges];
  }

  /** True as soon as none is left, false when that takes longer than `ms`. */
  idleWithin(ms: number): Promise<boolean> {
    if (this.#exchanges.size === 0) return Promise.resolve(true);
    return new Promise((resolve) => {
      const end = (idle: boolean): void => {
        clearTimeout(timer);
        this.#idleListeners.delete(onIdle);
        resolve(idle);
      };
      const onIdle = (): void => end(true);
      const timer = setTimeout(() => end(false), ms);
      this.#idleListeners.add(onIdle);
    });
  }
}
