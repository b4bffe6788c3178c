import { type Context, type SpanKind, SpanStatusCode, type Tracer, trace } from "@opentelemetry/api";
import { ERRORS, type WireError } from "../../errors.js";
import type { Micros } from "../../protocol.js";
import type { WallAnchor } from "../clock.js";
import type { LeafSpans } from "./leaf-spans.js";
import { definedAttributes, type OpenSpan, type SpanAttributes, setAttributes } from "./open-span.js";

/** Makes the spans of one trace from monotonic times. Children start no earlier than their parent. */
export class SpanMaker {
  /** The latest end of any span made so far: no parent may end before it. */
  latest: Micros = Number.NEGATIVE_INFINITY;

  /** @param leaves where `add` has its spans from; OpenTelemetry's `tracer` when absent */
  constructor(
    private readonly tracer: Tracer,
    private readonly anchor: WallAnchor,
    private readonly leaves?: LeafSpans,
  ) {}

  open(name: string, start: Micros, parent: OpenSpan | Context, attributes: SpanAttributes, kind?: SpanKind): OpenSpan {
    const isSpan = "span" in parent;
    const context = isSpan ? parent.context : parent;
    const begin = isSpan ? Math.max(start, parent.start) : start;
    const options = { startTime: this.anchor.hrTime(begin), attributes: definedAttributes(attributes) };
    const span = this.tracer.startSpan(name, kind === undefined ? options : { ...options, kind }, context);
    return { span, context: trace.setSpan(context, span), start: begin };
  }

  /** Ends `open`; a failure becomes its status, and its code (of a bare HTTP status, that number) `error.type`. */
  end(open: OpenSpan, at: Micros, error?: WireError | { readonly status: number }): void {
    const end = Math.max(open.start, at);
    this.latest = Math.max(this.latest, end);
    if (error !== undefined) {
      const { type, message } = failureOf(error);
      setAttributes(open, { "error.type": type });
      open.span.setStatus({ code: SpanStatusCode.ERROR, message });
    }
    open.span.end(this.anchor.hrTime(end));
  }

  /** A span whose both ends are known, with none below it. */
  add(name: string, start: Micros, end: Micros, parent: OpenSpan, attributes: SpanAttributes, error?: WireError): void {
    if (this.leaves === undefined || !parent.span.isRecording()) {
      this.end(this.open(name, start, parent, attributes), end, error);
      return;
    }
    const begin = Math.max(start, parent.start);
    const finish = Math.max(begin, end);
    this.latest = Math.max(this.latest, finish);
    const failure = error === undefined ? undefined : failureOf(error);
    const told = definedAttributes(attributes);
    if (failure !== undefined) told["error.type"] = failure.type;
    this.leaves.add(name, this.anchor.hrTime(begin), this.anchor.hrTime(finish), parent, told, failure?.message);
  }

  annotate(open: OpenSpan, value: string, at: Micros): void {
    open.span.addEvent(value, this.anchor.hrTime(Math.max(at, open.start)));
    this.latest = Math.max(this.latest, at);
  }
}

function failureOf(error: WireError | { readonly status: number }): {
  readonly type: string;
  readonly message: string;
} {
  if ("status" in error) return { type: String(error.status), message: `HTTP status ${error.status}` };
  return { type: error.code, message: errorText(error) };
}

/**
 * What the `error` tag says, for people; `error.type` is what to search for. What is wrong with a request is told with the
 * caller's own words in it (a field's name, a model's), so of those failures only the code is recorded.
 */
function errorText({ code, message }: WireError): string {
  return ERRORS[code].type === "invalid_request_error" ? code : message;
}

/** Seconds, to the microsecond. */
export function seconds(micros: number): number {
  return Math.round(micros) / 1e6;
}

export function rounded(value: number, digits: number): number {
  const scale = 10 ** digits;
  return Math.round(value * scale) / scale;
}
