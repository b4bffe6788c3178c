import type { ZipkinSpan } from "../../../../src/tracing/export/zipkin-span.js";

/** 2023-11-14T22:13:20Z, in milliseconds and microseconds. */
export const T_MS = 1_700_000_000_000;
export const T = T_MS * 1e3;

let ids = 0;

export function span(change: Partial<ZipkinSpan> = {}): ZipkinSpan {
  return {
    traceId: "000000000000000a",
    id: (++ids).toString(16).padStart(16, "0"),
    name: "work",
    timestamp: T,
    duration: 1_000,
    localEndpoint: { serviceName: "vitrine" },
    ...change,
  };
}
