import { type Context, createContextKey, type SpanContext, TraceFlags, trace } from "@opentelemetry/api";

/**
 * What a caller decided about sampling, as B3 tells it (https://github.com/openzipkin/b3-propagation):
 * `defer` leaves it to the receiver; `debug` is an accept that no later sampler may overrule.
 */
export type SamplingState = "defer" | "deny" | "accept" | "debug";

const SAMPLING_STATE = createContextKey("vitrine sampling state");

export function withSamplingState(context: Context, state: SamplingState): Context {
  return context.setValue(SAMPLING_STATE, state);
}

/** The decision that holds in `context`, whoever made it. */
export function samplingState(context: Context): SamplingState {
  const stated = context.getValue(SAMPLING_STATE) as SamplingState | undefined;
  const span = trace.getSpanContext(context);
  if (span === undefined || !trace.isSpanContextValid(span)) return stated ?? "defer";
  // A remote parent's flag cannot tell `defer` from `deny`; what its propagator noted can.
  if (span.isRemote === true && stated !== undefined) return stated;
  if (!isSampled(span)) return "deny";
  return stated === "debug" ? "debug" : "accept";
}

export function isSampled(span: SpanContext): boolean {
  return (span.traceFlags & TraceFlags.SAMPLED) !== 0;
}

/** OpenTelemetry's API has no name for it yet; for the bit see https://www.w3.org/TR/trace-context-2/#random-trace-id-flag. */
export const RANDOM_ID_FLAG = 2;

const RANDOM_ID = createContextKey("vitrine random trace id");

/** Notes that the low 56 bits of `traceId` are random; the SDK's spans have no room for it. */
export function withRandomId(context: Context, traceId: string): Context {
  return context.setValue(RANDOM_ID, traceId);
}

/** Whether the id of `span`'s trace is known to be random. What a caller said of its trace says nothing of another one. */
export function isRandomId(context: Context, span: SpanContext): boolean {
  return (span.traceFlags & RANDOM_ID_FLAG) !== 0 || context.getValue(RANDOM_ID) === span.traceId;
}

const TRACE_ID = /^(?:[0-9a-f]{16}|[0-9a-f]{32})$/;
const SPAN_ID = /^[0-9a-f]{16}$/;
const ALL_ZERO = /^0+$/;
const HIGH_ZEROS = "0".repeat(16);

/**
 * 16 or 32 lower-case hex digits, not all zero, as 32 digits; anything else is undefined.
 * Upper case is refused because Zipkin refuses to store it.
 */
export function parseTraceId(text: string): string | undefined {
  return TRACE_ID.test(text) && !ALL_ZERO.test(text) ? text.padStart(32, "0") : undefined;
}

export function parseSpanId(text: string): string | undefined {
  return SPAN_ID.test(text) && !ALL_ZERO.test(text) ? text : undefined;
}

/**
 * The form Zipkin files a trace under: an id whose upper 64 bits are zero is a 64-bit id and has 16 digits.
 * So the spans of a caller that uses 64-bit ids and ours stay one trace, also with strict trace ids.
 */
export function zipkinTraceId(traceId: string): string {
  return traceId.startsWith(HIGH_ZEROS) ? traceId.slice(16) : traceId;
}
