import { type Attributes, type HrTime, type SpanContext, SpanKind, SpanStatusCode } from "@opentelemetry/api";
import type { IdGenerator } from "@opentelemetry/sdk-trace-node";
import { samplingState } from "../context/trace-context.js";
import type { EndedSpan } from "../export/span-encoder.js";
import type { OpenSpan } from "./open-span.js";

const UNSET = { code: SpanStatusCode.UNSET };
const NO_EVENTS: EndedSpan["events"] = [];

class LeafSpan implements EndedSpan {
  readonly kind = SpanKind.INTERNAL;
  readonly events = NO_EVENTS;
  status: EndedSpan["status"] = UNSET;

  constructor(
    readonly name: string,
    readonly startTime: HrTime,
    readonly endTime: HrTime,
    readonly attributes: Attributes,
    readonly parentSpanContext: SpanContext,
    private readonly spanId: string,
  ) {}

  spanContext(): SpanContext {
    const { traceId, traceFlags } = this.parentSpanContext;
    return { traceId, spanId: this.spanId, traceFlags };
  }
}

/**
 * Spans whose both ends are known as they are made, with none below them: most of a request's. Nobody ever holds them open,
 * so they go straight where OpenTelemetry's go when they end, without what a span needs for a life of its own.
 */
export class LeafSpans {
  constructor(
    private readonly ids: Pick<IdGenerator, "generateSpanId">,
    private readonly processor: { write(span: EndedSpan, debug: boolean): void },
  ) {}

  /** `parent` is recorded. @param failure what failed, of a span that did */
  add(
    name: string,
    start: HrTime,
    end: HrTime,
    parent: OpenSpan,
    attributes: Attributes,
    failure: string | undefined,
  ): void {
    const span = new LeafSpan(name, start, end, attributes, parent.span.spanContext(), this.ids.generateSpanId());
    if (failure !== undefined) span.status = { code: SpanStatusCode.ERROR, message: failure };
    this.processor.write(span, samplingState(parent.context) === "debug");
  }
}
