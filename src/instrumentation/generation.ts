import type { OpenSpan, SpanAttributes } from "../tracing/spans/open-span.js";
import { rounded, type SpanMaker, seconds } from "../tracing/spans/span-maker.js";
import type { ForwardPass, Phase } from "./forward-pass.js";
import { ForwardSpan, type Timing, type TraceDetail } from "./forward-span.js";
import type { Outcome } from "./settle.js";

/** One call of `generate`: its passes as spans below `model.generate`, and what they add up to. */
export class Generation {
  #forward: ForwardSpan | undefined;
  /** Microseconds in each phase that is over. */
  readonly #spent = new Map<Phase | undefined, number>();
  /** A pass is under way: what is called meanwhile is part of it. */
  stepping = false;
  #steps = 0;
  #tokens = 0;
  /** Tokens there were with the first one. */
  #firstTokens = 0;
  #start: number | undefined;
  #firstAt: number | undefined;
  #lastAt = 0;

  constructor(
    private readonly maker: SpanMaker,
    private readonly parent: OpenSpan,
    /** Whose `generate` it is, and on which class that was found. */
    readonly model: unknown,
    readonly owner: object,
    private readonly attributes: SpanAttributes,
    private readonly detail: TraceDetail,
  ) {}

  /** No token has been computed yet. */
  get beginning(): boolean {
    return this.#firstAt === undefined;
  }

  /** A pass that has ended, well or not. */
  passed(pass: ForwardPass, timing: Timing, outcome: Outcome): void {
    if (this.#forward?.phase !== pass.phase) this.#enter(pass.phase, timing.start);
    this.#forward?.add(pass, timing, outcome);
    if (pass.phase === "encode" || outcome.kind === "threw") return;
    this.#steps++;
    this.#tokens += pass.rows;
    this.#lastAt = timing.end;
    if (this.#firstAt !== undefined) return;
    this.#firstAt = timing.end;
    this.#firstTokens = pass.rows;
    this.maker.annotate(this.parent, "first_token", timing.end);
  }

  #enter(phase: Phase | undefined, start: number): void {
    this.#leave();
    this.#start ??= start;
    this.#forward = new ForwardSpan(this.maker, this.parent, start, phase, this.attributes, this.detail);
  }

  #leave(): void {
    const over = this.#forward;
    if (over === undefined) return;
    over.close();
    this.#spent.set(over.phase, (this.#spent.get(over.phase) ?? 0) + over.busy);
    this.#forward = undefined;
  }

  /** Ends the phase that is open. What it all came to; why it ended, where there is one sequence with a limit in tokens. */
  close(at: number, limit?: number): SpanAttributes {
    this.#leave();
    const first = this.#firstAt;
    const ttft = first === undefined ? undefined : first - this.parent.start;
    const generating = first === undefined ? 0 : this.#lastAt - first;
    return {
      "ai.response.length": this.#tokens,
      "gen_ai.usage.output_tokens": this.#tokens,
      // Speed between tokens: the wait for the first one is ai.ttft_ms.
      "ai.tokens_per_second":
        generating > 0 ? rounded((this.#tokens - this.#firstTokens) / (generating / 1e6), 3) : undefined,
      "ai.ttft_ms": ttft === undefined ? undefined : rounded(ttft / 1e3, 3),
      "gen_ai.response.finish_reasons": limit === undefined ? undefined : [this.#steps < limit ? "stop" : "length"],
      "gen_ai.latency.time_to_first_token": inSeconds(ttft),
      "gen_ai.response.time_to_first_chunk": inSeconds(ttft),
      "gen_ai.latency.time_in_model_prefill": inSeconds(this.#spent.get("prefill")),
      "gen_ai.latency.time_in_model_decode": inSeconds(this.#spent.get("decode")),
      "gen_ai.latency.time_in_model_inference": inSeconds(
        this.#start === undefined ? undefined : this.#lastAt - this.#start,
      ),
      "gen_ai.latency.e2e": seconds(at - this.parent.start),
    };
  }
}

function inSeconds(micros: number | undefined): number | undefined {
  return micros === undefined ? undefined : seconds(micros);
}
