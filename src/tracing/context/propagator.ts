import {
  type Context,
  createContextKey,
  propagation,
  type TextMapGetter,
  type TextMapPropagator,
  type TextMapSetter,
  TraceFlags,
  trace,
} from "@opentelemetry/api";
import { isTracingSuppressed } from "@opentelemetry/core";
import type { PropagationFormat } from "./propagation.js";
import { PROPAGATION_FIELDS, readHeaders, type TraceHeaders, writeHeaders } from "./propagation.js";
import { isRandomId, RANDOM_ID_FLAG, samplingState, withRandomId, withSamplingState } from "./trace-context.js";
import { VendorList } from "./trace-state.js";

/** The trace and decision of `context`, ready to be written in any format. */
export function headersOf(context: Context): TraceHeaders {
  const sampling = samplingState(context);
  const span = trace.getSpanContext(context);
  if (span === undefined || !trace.isSpanContextValid(span)) return { sampling };
  const traceState = VendorList.parse(span.traceState?.serialize());
  return {
    ids: { traceId: span.traceId, spanId: span.spanId },
    sampling,
    ...(traceState === undefined ? {} : { traceState }),
    ...(isRandomId(context, span) ? { randomId: true } : {}),
  };
}

/** `context` with the caller's span as parent and its decision noted. */
export function contextFrom(context: Context, headers: TraceHeaders): Context {
  const { ids, sampling, traceState, randomId } = headers;
  if (ids === undefined) return sampling === "defer" ? context : withSamplingState(context, sampling);
  const sampled = sampling === "accept" || sampling === "debug";
  const remote = trace.setSpanContext(context, {
    ...ids,
    isRemote: true,
    traceFlags: (sampled ? TraceFlags.SAMPLED : TraceFlags.NONE) | (randomId ? RANDOM_ID_FLAG : 0),
    ...(traceState === undefined ? {} : { traceState }),
  });
  return withSamplingState(randomId ? withRandomId(remote, ids.traceId) : remote, sampling);
}

/** The caller's `baggage` (https://www.w3.org/TR/baggage/), as it came: it is others' to read. */
const BAGGAGE = createContextKey("vitrine baggage");

/**
 * Accepts B3 multi, B3 single and W3C; sends the formats it is given, B3 multi when there are none. `baggage` goes on
 * unread, unless OpenTelemetry's own baggage is set in the context: then its propagator writes it. Register it with
 * OpenTelemetry's `propagation` API.
 */
export class ZipkinPropagator implements TextMapPropagator {
  readonly #formats: readonly PropagationFormat[];

  constructor(...formats: readonly PropagationFormat[]) {
    this.#formats = formats.length === 0 ? ["b3multi"] : formats;
  }

  inject(context: Context, carrier: unknown, setter: TextMapSetter): void {
    if (isTracingSuppressed(context)) return;
    const baggage = propagation.getBaggage(context) === undefined ? context.getValue(BAGGAGE) : undefined;
    const headers = writeHeaders(headersOf(context), ...this.#formats);
    if (typeof baggage === "string") headers.baggage = baggage;
    for (const [name, value] of Object.entries(headers)) setter.set(carrier, name, value);
  }

  extract(context: Context, carrier: unknown, getter: TextMapGetter): Context {
    const read = (name: string): string | undefined => headerText(getter.get(carrier, name));
    const extracted = contextFrom(context, readHeaders(read));
    const baggage = read("baggage");
    return baggage === undefined ? extracted : extracted.setValue(BAGGAGE, baggage);
  }

  fields(): string[] {
    return [...Object.values(PROPAGATION_FIELDS).flat(), "baggage"];
  }
}

/** A header's text; of a repeated one, the list HTTP says it is equal to. */
export function headerText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return Array.isArray(value) && value.every((one) => typeof one === "string") && value.length > 0
    ? value.join(",")
    : undefined;
}
