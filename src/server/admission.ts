import type { EngineClient } from "../engine/client.js";
import { VitrineError } from "../errors.js";
import { serverDraining } from "./error-response.js";

/** Whether a request would be served now; refusing comes before any work on it. */
export class Admission {
  #draining = false;

  constructor(
    private readonly engine: EngineClient,
    private readonly maxInFlight: number,
  ) {}

  get draining(): boolean {
    return this.#draining;
  }

  drain(): void {
    this.#draining = true;
  }

  /** Why a request would be refused; undefined when it would be served. */
  refusal(): VitrineError | undefined {
    if (this.#draining) return serverDraining();
    const { state, inFlight } = this.engine;
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
        break;
    }
    if (inFlight < this.maxInFlight) return undefined;
    return new VitrineError(
      "queue_full",
      `The queue is full (${inFlight} requests running or waiting, the most is ${this.maxInFlight}): try again later.`,
    );
  }
}
