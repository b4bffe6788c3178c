import type { RequestTrace } from "./contract.js";

/** Fields of a request's log lines, as OpenTelemetry names them; none when nothing is traced. */
export function traceFields(
  request: Pick<RequestTrace, "traceId" | "spanId" | "sampled"> | undefined,
): Record<string, string> {
  return request === undefined || /^0*$/.test(request.traceId)
    ? {}
    : { trace_id: request.traceId, span_id: request.spanId, trace_flags: request.sampled ? "01" : "00" };
}
