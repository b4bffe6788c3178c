import { type Context, context, type Tracer, trace } from "@opentelemetry/api";
import { type Clock, WallAnchor } from "../tracing/clock.js";
import { type OpenSpan, type SpanAttributes, setAttributes } from "../tracing/spans/open-span.js";
import { SpanMaker } from "../tracing/spans/span-maker.js";
import { attempt } from "./attempt.js";
import { DecodeRuns, type Quiet } from "./decode-runs.js";
import { markFailure } from "./failure.js";
import type { ForwardPass } from "./forward-pass.js";
import { ForwardSpan, type TraceDetail } from "./forward-span.js";
import type { Call } from "./patch.js";
import { asLeaf, type Scope, scopeOf, withScope } from "./scope.js";
import { settle } from "./settle.js";

/** What every instrumentation records with. */
export interface RecorderParts {
  readonly tracer: () => Tracer;
  readonly detail: () => TraceDetail;
  readonly clock: Clock;
  readonly quiet: Quiet;
}

/** A call that becomes one span. */
export interface SpanPlan {
  readonly name: string;
  /** What is known before the call. */
  readonly attributes: SpanAttributes;
  /** What calls below it are part of; a leaf when absent. */
  readonly scope?: (maker: SpanMaker, span: OpenSpan) => Scope;
  readonly ended?: (value: unknown) => SpanAttributes;
}

/** Makes calls and the spans of them. Whatever goes wrong in here stays here: the call itself is made all the same. */
export class Recorder {
  readonly decodes: DecodeRuns;

  constructor(private readonly parts: RecorderParts) {
    this.decodes = new DecodeRuns(parts.quiet);
  }

  get detail(): TraceDetail {
    return this.parts.detail();
  }

  now(): number {
    return this.parts.clock.monotonic();
  }

  /** For spans below the scope, its maker, so that one trace has one relation of the two clocks. */
  maker(scope: Scope | undefined): SpanMaker {
    return scope === undefined || scope.kind === "leaf"
      ? new SpanMaker(this.parts.tracer(), new WallAnchor(this.parts.clock))
      : scope.maker;
  }

  /** Makes the call inside a span of its own, for as long as it takes. */
  span(call: Call, plan: SpanPlan): unknown {
    const parent = context.active();
    const maker = this.maker(scopeOf(parent));
    const open = maker.open(plan.name, this.now(), parent, plan.attributes);
    if (!open.span.isRecording()) return unrecorded(open.context, call);
    const scope = plan.scope?.(maker, open);
    const inside = scope === undefined ? asLeaf(open.context) : withScope(open.context, scope);
    return settle(
      () => context.with(inside, call.proceed),
      (outcome) => {
        const found = outcome.kind === "returned" ? attempt(() => plan.ended?.(outcome.value), undefined) : undefined;
        setAttributes(open, found ?? {});
        markFailure(open, outcome);
        maker.end(open, this.now());
      },
    );
  }

  /** A forward pass outside of any `generate`: a span of its own, or one with the decode steps before it. */
  forward(call: Call, pass: ForwardPass, attributes: SpanAttributes): unknown {
    const parent = context.active();
    const parentId = trace.getSpan(parent)?.spanContext().spanId ?? "";
    const start = this.now();
    const open = () => new ForwardSpan(this.maker(scopeOf(parent)), parent, start, pass.phase, attributes, this.detail);
    const gathered = pass.phase === "decode" ? this.decodes.begin(call.self, parentId, open) : undefined;
    if (gathered === undefined) this.decodes.end(call.self, parentId);
    const span = gathered?.span ?? open();
    if (!span.recording) {
      if (gathered !== undefined) this.decodes.stepped(gathered);
      return unrecorded(parent, call);
    }
    return settle(
      () => context.with(asLeaf(span.context), call.proceed),
      (outcome) => {
        span.add(pass, { start, end: this.now() }, outcome);
        if (gathered === undefined) span.close();
        else this.decodes.stepped(gathered);
        if (gathered !== undefined && outcome.kind === "threw") this.decodes.end(call.self, parentId);
      },
    );
  }
}

/** Not sampled, or nobody traces at all: nothing below needs a look. */
export function unrecorded(inside: Context, call: Call): unknown {
  return context.with(asLeaf(inside), call.proceed);
}
