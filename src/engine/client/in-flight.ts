import type { WireError } from "../../errors.js";
import type { Micros, Outcome, RequestEvent, RequestId } from "../../protocol.js";

type OnEvent = (event: RequestEvent) => void;

/** The client's open requests: who hears their events, and that each ends once. */
export class InFlight {
  readonly #listeners = new Map<RequestId, OnEvent>();
  /** Refused requests whose `ended` waits for a later tick. */
  #refusing = 0;

  /** @param onEnded called after every `ended` */
  constructor(private readonly onEnded: () => void) {}

  get size(): number {
    return this.#listeners.size + this.#refusing;
  }

  has(id: RequestId): boolean {
    return this.#listeners.has(id);
  }

  add(id: RequestId, onEvent: OnEvent): void {
    this.#listeners.set(id, onEvent);
  }

  /** Passes an event on; what comes after `ended` is dropped. */
  deliver(event: RequestEvent): void {
    const onEvent = this.#listeners.get(event.id);
    if (event.type === "ended") this.#listeners.delete(event.id);
    onEvent?.(event);
    if (event.type === "ended") this.onEnded();
  }

  /** Ends a request that never got in, on a later tick: callers need not expect events while they submit. */
  refuse(id: RequestId, error: WireError, at: Micros, onEvent: OnEvent): void {
    this.#refusing++;
    setImmediate(() => {
      this.#refusing--;
      onEvent({ type: "ended", id, outcome: { kind: "failed", error }, at });
      this.onEnded();
    });
  }

  endAll(outcome: Outcome, at: Micros): void {
    for (const id of [...this.#listeners.keys()]) this.deliver({ type: "ended", id, outcome, at });
  }
}
