import type { Context } from "@opentelemetry/api";
import type { SpanAttributes } from "../tracing/spans/open-span.js";
import { type OpenSpan, setAttributes } from "../tracing/spans/open-span.js";
import type { SpanMaker } from "../tracing/spans/span-maker.js";
import { rounded } from "../tracing/spans/span-maker.js";
import { markFailure } from "./failure.js";
import type { ForwardPass, Phase } from "./forward-pass.js";
import type { Outcome } from "./settle.js";

/** `phase`: one span for the passes of a phase. `step`: below it, one for each, too. */
export type TraceDetail = "phase" | "step";

/** When a pass ran, in microseconds of the monotonic clock. */
export interface Timing {
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
  /** Microseconds of all passes, what lies between them left out. */
  busy = 0;
  #end: number;

  constructor(
    private readonly maker: SpanMaker,
    parent: OpenSpan | Context,
    start: number,
    readonly phase: Phase | undefined,
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

  add(pass: ForwardPass, timing: Timing, outcome: Outcome): void {
    if (this.detail === "step" && this.phase !== undefined) this.#addStep(pass, timing, outcome);
    const took = timing.end - timing.start;
    this.#steps++;
    this.#rows += pass.rows;
    this.#tokens += pass.tokens ?? 0;
    this.busy += took;
    this.#longest = Math.max(this.#longest, took);
    this.#end = Math.max(this.#end, timing.end);
    if (pass.images !== undefined) setAttributes(this.#span, imageAttributes(pass));
    markFailure(this.#span, outcome);
  }

  #addStep(pass: ForwardPass, { start, end }: Timing, outcome: Outcome): void {
    const step = this.maker.open("inference.forward", start, this.#span, {
      "ai.phase": this.phase,
      "ai.step.number": this.#steps,
      "ai.batch.size": pass.rows,
      ...this.attributes,
    });
    markFailure(step, outcome);
    this.maker.end(step, end);
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
