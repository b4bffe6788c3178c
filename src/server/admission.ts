import type { EngineClient } from "../engine/client/client.js";
import { VitrineError } from "../errors.js";
import type { Micros } from "../protocol.js";
import { ANONYMOUS } from "./caller.js";
import { CompletionRate } from "./completion-rate.js";
import { serverDraining } from "./error-response.js";
import type { ServerLimits } from "./options.js";
import { badField } from "./request/schema.js";

/** Whether a request would be served now; refusing comes before any work on it. A place is one answer's, from arrival to last byte. */
export class Admission {
  readonly #rate = new CompletionRate();
  /** Places of each caller that has any. */
  readonly #places = new Map<string, number>();
  #draining = false;
  /** Since when there has been work without a pause. */
  #busySince: Micros = 0;

  constructor(
    private readonly engine: EngineClient,
    private readonly limits: Pick<ServerLimits, "maxInFlight" | "maxPerKey">,
    private readonly clock: () => Micros,
  ) {}

  get draining(): boolean {
    return this.#draining;
  }

  drain(): void {
    this.#draining = true;
  }

  /** The engine ended a request. */
  ended(): void {
    this.#rate.ended(this.clock());
  }

  /** Why a request for this many answers would be refused; undefined when it would be served. */
  refusal(places = 1, caller?: string): VitrineError | undefined {
    if (this.#draining) return serverDraining();
    const { state } = this.engine;
    switch (state.kind) {
      case "starting":
        return new VitrineError("engine_not_ready", "The model is still loading: try again in a moment.");
      case "restarting":
        return new VitrineError("engine_not_ready", "The engine is restarting after a failure: try again in a moment.");
      case "failed":
        return new VitrineError("engine_not_ready", `The model could not be loaded: ${state.error.message}`);
      case "stopped":
        return serverDraining();
      case "ready":
        return this.#full(places) ?? (caller === undefined ? undefined : this.#tooMany(places, caller));
    }
  }

  /** Takes places for a caller, until the returned function is called. */
  enter(places: number, caller: string): () => void {
    if (this.#places.size === 0) this.#busySince = this.clock();
    this.#places.set(caller, this.#of(caller) + places);
    return () => {
      const left = this.#of(caller) - places;
      if (left > 0) this.#places.set(caller, left);
      else this.#places.delete(caller);
    };
  }

  /** Throws `invalid_request` where so many answers could not be had at any time. */
  checkSize(places: number, param: string): void {
    const { maxInFlight, maxPerKey } = this.limits;
    const most = maxPerKey === 0 ? maxInFlight : Math.min(maxInFlight, maxPerKey);
    if (places > most) {
      throw badField(param, `asks for ${places} answers: this server takes at most ${most} of one caller at once`);
    }
  }

  #full(places: number): VitrineError | undefined {
    const { inFlight } = this.engine;
    const { maxInFlight } = this.limits;
    if (inFlight + places <= maxInFlight) return undefined;
    return new VitrineError(
      "queue_full",
      `The queue is full (${inFlight} requests running or waiting, the most is ${maxInFlight}): try again later.`,
      { retryAfterSeconds: this.#secondsUntil(inFlight + places - maxInFlight) },
    );
  }

  #tooMany(places: number, caller: string): VitrineError | undefined {
    const { maxPerKey } = this.limits;
    const own = this.#of(caller);
    if (maxPerKey === 0 || own + places <= maxPerKey) return undefined;
    const whose = caller === ANONYMOUS ? "Callers without an API key, who count as one, have" : "This API key has";
    return new VitrineError(
      "key_limit_reached",
      `${whose} ${own} answers running or waiting, and ${maxPerKey} is the most: try again when one has ended.`,
      // Served in turn, this caller's requests end as often as its share of all of them.
      {
        retryAfterSeconds: this.#secondsUntil(((own + places - maxPerKey) * Math.max(own, this.engine.inFlight)) / own),
      },
    );
  }

  #secondsUntil(ended: number): number {
    return this.#rate.secondsUntil(ended, this.clock(), this.#busySince);
  }

  #of(caller: string): number {
    return this.#places.get(caller) ?? 0;
  }
}
