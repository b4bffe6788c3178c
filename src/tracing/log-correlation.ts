import type { RequestTrace } from "./contract.js";

/** Bindings of a request's child logger (`logger.child(traceFields(trace))`); none when nothing is traced. */
export function traceFields(request: Pick<RequestTrace, "traceId" | "spanId"> | undefined): Record<string, string> {
  return request === undefined || /^0*$/.test(request.traceId)
    ? {}
    : { trace_id: request.traceId, span_id: request.spanId };
}
