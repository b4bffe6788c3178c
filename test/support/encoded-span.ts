import type { EncodedSpan } from "../../src/tracing/export/zipkin-json.js";
import type { ZipkinSpan } from "../../src/tracing/export/zipkin-span.js";

/** As the trace store gets it, for spans that are not from here. */
export function encoded(span: ZipkinSpan, bytes = Buffer.byteLength(JSON.stringify(span))): EncodedSpan {
  return {
    json: JSON.stringify(span),
    bytes,
    traceId: span.traceId,
    isRoot: span.parentId === undefined,
    name: span.name.toLowerCase(),
    serviceName: span.localEndpoint.serviceName?.toLowerCase(),
    remoteServiceName: span.remoteEndpoint?.serviceName?.toLowerCase(),
    timestamp: span.timestamp,
    duration: span.duration,
  };
}
