import type { Context } from "@opentelemetry/api";
import type { SpanAttributes, SpanMaker } from "../tracing/spans/span-maker.js";
import { type OpenSpan, rounded, setAttributes } from "../tracing/spans/span-maker.js";
import { markFailure } from "./failure.js";
import type { ForwardPass, Phase } from "./forward-pass.js";
import type { Outcome } from "./settle.js";

/** `phase`: one span for the passes of a phase. `step`: below it, one for each, too. */
export type TraceDetail = "phase" | "step";

/** A pass and when it ran, in microseconds of the monotonic clock. */
export interface TimedPass extends ForwardPass {
  readonly start: number;
  readonly end: number;
}

/** One span `inference.forward` for consecutive passes of one phase. */
export class ForwardSpan {
  readonly #span: OpenSpan;
  #steps = 0;
  #rows = 0;
  #tokens = 0;
  #longest = 0;
  #end: number;

  constructor(
    private readonly maker: SpanMaker,
    parent: OpenSpan | Context,
    start: number,
    private readonly phase: Phase | undefined,
    private readonly attributes: SpanAttributes,
    private readonly detail: TraceDetail,
  ) {
    this.#span = maker.open("inference.forward", start, parent, { "ai.phase": phase, ...attributes });
    this.#end = start;
  }

  get recording(): boolean {
    return this.#span.span.isRecording();
  }

  get context(): Context {
    return this.#span.context;
  }

  add(pass: TimedPass, outcome: Outcome): void {
    if (this.detail === "step" && this.phase !== undefined) this.#addStep(pass, outcome);
    this.#steps++;
    this.#rows += pass.rows;
    this.#tokens += pass.tokens ?? 0;
    this.#longest = Math.max(this.#longest, pass.end - pass.start);
    this.#end = Math.max(this.#end, pass.end);
    if (pass.images !== undefined) setAttributes(this.#span, imageAttributes(pass));
    markFailure(this.#span, outcome);
  }

  #addStep(pass: TimedPass, outcome: Outcome): void {
    const step = this.maker.open("inference.forward", pass.start, this.#span, {
      "ai.phase": this.phase,
      "ai.step.number": this.#steps,
      "ai.batch.size": pass.rows,
      ...this.attributes,
    });
    markFailure(step, outcome);
    this.maker.end(step, pass.end);
  }

  /** Ends it where its last pass ended. */
  close(): void {
    const meanRows = rounded(this.#rows / Math.max(1, this.#steps), 2);
    setAttributes(this.#span, {
      "ai.steps": this.phase === undefined ? undefined : this.#steps,
      "ai.tokens": this.#tokens > 0 ? this.#tokens : undefined,
      [this.phase === "decode" ? "ai.batch.mean_size" : "ai.batch.size"]: meanRows,
      "ai.step_ms.max": this.phase === undefined ? undefined : rounded(this.#longest / 1e3, 3),
    });
    this.maker.end(this.#span, this.#end);
  }
}

export function imageAttributes({ images }: ForwardPass): SpanAttributes {
  return { "ai.num_images": images?.count, "ai.image_resolution": images?.resolution };
}
