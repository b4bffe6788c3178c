import {
  type Context,
  type TextMapGetter,
  type TextMapPropagator,
  type TextMapSetter,
  TraceFlags,
  trace,
} from "@opentelemetry/api";
import { isTracingSuppressed, TraceState } from "@opentelemetry/core";
import type { PropagationFormat } from "../contract.js";
import { PROPAGATION_FIELDS, readHeaders, type TraceHeaders, writeHeaders } from "./propagation.js";
import { samplingState, withSamplingState } from "./trace-context.js";

/** The trace and decision of `context`, ready to be written in any format. */
export function headersOf(context: Context): TraceHeaders {
  const sampling = samplingState(context);
  const span = trace.getSpanContext(context);
  if (span === undefined || !trace.isSpanContextValid(span)) return { sampling };
  const state = span.traceState?.serialize() ?? "";
  return {
    ids: { traceId: span.traceId, spanId: span.spanId },
    sampling,
    ...(state === "" ? {} : { traceState: new TraceState(state) }),
  };
}

/** `context` with the caller's span as parent and its decision noted. */
export function contextFrom(context: Context, headers: TraceHeaders): Context {
  const { ids, sampling, traceState } = headers;
  if (ids === undefined) return sampling === "defer" ? context : withSamplingState(context, sampling);
  const sampled = sampling === "accept" || sampling === "debug";
  const remote = trace.setSpanContext(context, {
    ...ids,
    isRemote: true,
    traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
    ...(traceState === undefined ? {} : { traceState }),
  });
  return withSamplingState(remote, sampling);
}

/** Accepts B3 multi, B3 single and W3C; sends one format. Register it with OpenTelemetry's `propagation` API. */
export class ZipkinPropagator implements TextMapPropagator {
  constructor(private readonly format: PropagationFormat = "b3multi") {}

  inject(context: Context, carrier: unknown, setter: TextMapSetter): void {
    if (isTracingSuppressed(context)) return;
    for (const [name, value] of Object.entries(writeHeaders(headersOf(context), this.format))) {
      setter.set(carrier, name, value);
    }
  }

  extract(context: Context, carrier: unknown, getter: TextMapGetter): Context {
    return contextFrom(
      context,
      readHeaders((name) => headerText(getter.get(carrier, name))),
    );
  }

  fields(): string[] {
    return Object.values(PROPAGATION_FIELDS).flat();
  }
}

/** A header's text; of a repeated one, the list HTTP says it is equal to. */
export function headerText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return Array.isArray(value) && value.every((one) => typeof one === "string") && value.length > 0
    ? value.join(",")
    : undefined;
}
