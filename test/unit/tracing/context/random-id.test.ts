import assert from "node:assert/strict";
import { ROOT_CONTEXT, type SpanContext, TraceFlags, trace } from "@opentelemetry/api";
import { readHeaders, writeHeaders } from "../../../../src/tracing/context/propagation.js";
import { contextFrom, headersOf } from "../../../../src/tracing/context/propagator.js";
import { Harness, INCOMING } from "../harness.js";

const TRACE = "463ac35c9f6413ad48485a3953bb6124";
const OTHER = "11111111111111112222222222222222";
const SPAN = "a2fb4a1d1a96d312";
const read = (headers: Record<string, string>) => readHeaders((name) => headers[name]);
const traceparent = (flags: string, traceId = TRACE): string => `00-${traceId}-${SPAN}-${flags}`;

describe("W3C's flag of random trace ids", () => {
  it("is passed on beside every decision, and no other flag is", () => {
    for (const [came, goes] of [
      ["00", "00"],
      ["01", "01"],
      ["02", "02"],
      ["03", "03"],
      ["fc", "00"],
      ["ff", "03"],
    ]) {
      assert.equal(
        writeHeaders(read({ traceparent: traceparent(came ?? "") }), "w3c").traceparent,
        traceparent(goes ?? ""),
      );
    }
  });

  it("is known of the caller's trace for its spans, whose own flags have no room for it", () => {
    const caller = contextFrom(ROOT_CONTEXT, read({ traceparent: traceparent("03") }));
    assert.equal(trace.getSpanContext(caller)?.traceFlags, 3);
    const child = (traceId: string): SpanContext => ({
      traceId,
      spanId: "1".repeat(16),
      traceFlags: TraceFlags.SAMPLED,
    });
    assert.equal(headersOf(trace.setSpanContext(caller, child(TRACE))).randomId, true);
    assert.equal(headersOf(trace.setSpanContext(caller, child(OTHER))).randomId, undefined);
    const silent = contextFrom(ROOT_CONTEXT, read({ traceparent: traceparent("01") }));
    assert.equal(headersOf(trace.setSpanContext(silent, child(TRACE))).randomId, undefined);
  });

  it("counts when B3 gives the ids only where both name one trace", () => {
    const b3 = `${TRACE}-1111111111111111-1`;
    assert.equal(read({ b3, traceparent: traceparent("03") }).randomId, true);
    assert.equal(read({ b3, traceparent: traceparent("03", OTHER) }).randomId, undefined);
    assert.equal(read({ b3 }).randomId, undefined);
  });

  it("is set by a service that began the trace itself, and left as it was by one that did not", () => {
    const flagsFor = (headers: Record<string, string>): string | undefined => {
      const request = new Harness({ propagation: ["w3c"] }).requests.start({ ...INCOMING, headers });
      return request.responseHeaders().traceparent?.slice(-2);
    };
    assert.equal(flagsFor({}), "03");
    assert.equal(flagsFor({ traceparent: traceparent("01") }), "01");
    assert.equal(flagsFor({ traceparent: traceparent("03") }), "03");
    assert.equal(flagsFor({ b3: `${TRACE}-${SPAN}-1` }), "01");
  });
});
