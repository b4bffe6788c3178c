import type { Micros, RequestEvent } from "../../protocol.js";
import type { ExchangeStart } from "../exchange.js";
import type { LatencyHistograms } from "./latency-histograms.js";

const PHASES = ["queue", "prefill", "decode"] as const;
type Phase = (typeof PHASES)[number];

/** When the tokens of one request came: to its first one from the request's arrival, then choice by choice. And its phases. */
export class RequestLatencies {
  #any = false;
  readonly #choices = new Map<number, { readonly first: Micros; last: Micros }>();
  /** Of the choices that the engine has. A preempted one waits and is computed again: its times add up. */
  readonly #phases = new Map<number, Partial<Record<Phase, Micros>>>();

  constructor(
    private readonly histograms: Pick<LatencyHistograms, "observe" | "observeInterToken">,
    private readonly request: Pick<ExchangeStart, "start" | "trace">,
  ) {}

  token(choice: number, at: Micros): void {
    const times = this.#choices.get(choice);
    if (times !== undefined) {
      this.histograms.observeInterToken((at - times.last) / 1e6);
      times.last = at;
      return;
    }
    this.#choices.set(choice, { first: at, last: at });
    if (!this.#any) this.#observe("firstToken", at - this.request.start);
    this.#any = true;
  }

  end(choice: number, tokens: number): void {
    const times = this.#choices.get(choice);
    if (times === undefined || tokens < 2) return;
    this.#observe("perOutputToken", (times.last - times.first) / (tokens - 1));
  }

  /** What the engine tells of a choice besides its tokens. */
  phase(choice: number, event: RequestEvent): void {
    if (event.type === "admitted") this.#add(choice, "queue", event.queue);
    else if (event.type === "prefilled") this.#add(choice, "prefill", event.forward);
    else if ((event.type === "preempted" || event.type === "ended") && event.forward !== undefined) {
      this.#add(choice, event.forward.phase, event.forward);
    }
    if (event.type !== "ended") return;
    const phases = this.#phases.get(choice) ?? {};
    for (const name of PHASES) if (phases[name] !== undefined) this.#observe(name, phases[name]);
    this.#phases.delete(choice);
  }

  #add(choice: number, phase: Phase, span: { readonly start: Micros; readonly end: Micros }): void {
    const phases = this.#phases.get(choice) ?? {};
    phases[phase] = (phases[phase] ?? 0) + span.end - span.start;
    this.#phases.set(choice, phases);
  }

  #observe(name: "firstToken" | "perOutputToken" | Phase, micros: Micros): void {
    this.histograms.observe(name, micros / 1e6, this.request.trace);
  }
}
