import type { Micros } from "../protocol.js";
import type { Metrics } from "./metrics.js";

type Histograms = Pick<Metrics, "timeToFirstToken" | "interTokenLatency" | "timePerOutputToken">;

/** When the tokens of one request came: to its first one from the request's arrival, then choice by choice. */
export class TokenLatencies {
  #any = false;
  readonly #choices = new Map<number, { readonly first: Micros; last: Micros }>();

  constructor(
    private readonly histograms: Histograms,
    private readonly arrival: Micros,
  ) {}

  token(choice: number, at: Micros): void {
    const times = this.#choices.get(choice);
    if (times !== undefined) {
      this.histograms.interTokenLatency.observe((at - times.last) / 1e6);
      times.last = at;
      return;
    }
    this.#choices.set(choice, { first: at, last: at });
    if (!this.#any) this.histograms.timeToFirstToken.observe((at - this.arrival) / 1e6);
    this.#any = true;
  }

  end(choice: number, tokens: number): void {
    const times = this.#choices.get(choice);
    if (times === undefined || tokens < 2) return;
    this.histograms.timePerOutputToken.observe((times.last - times.first) / 1e6 / (tokens - 1));
  }
}
