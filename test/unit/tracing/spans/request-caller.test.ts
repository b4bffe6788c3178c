import assert from "node:assert/strict";
import { Harness, INCOMING } from "../harness.js";
import { complete } from "./request-fixtures.js";

describe("request trace and its caller", () => {
  const TRACE = "463ac35c9f6413ad48485a3953bb6124";
  const SPAN = "a2fb4a1d1a96d312";

  it("is a child of the caller's span, and names itself to the client", () => {
    const harness = new Harness();
    const trace = complete(harness, { "x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "1" });
    assert.equal(trace.traceId, TRACE);
    assert.equal(harness.span("post /v1/chat/completions").parentId, SPAN);
    assert.equal(harness.span("post /v1/chat/completions").id, trace.spanId);
    assert.deepEqual(trace.responseHeaders(), {
      "x-b3-traceid": TRACE,
      "x-b3-spanid": trace.spanId,
      "x-b3-sampled": "1",
    });
  });

  it("stays one trace with a caller that has 64-bit ids", () => {
    const harness = new Harness();
    const trace = complete(harness, { b3: `48485a3953bb6124-${SPAN}-1` });
    assert.equal(trace.traceId, "000000000000000048485a3953bb6124");
    assert.equal(trace.responseHeaders()["x-b3-traceid"], "48485a3953bb6124");
    assert.ok(harness.spans().every(({ traceId }) => traceId === "48485a3953bb6124"));
  });

  it("carries debug to every span, though nothing else is sampled", () => {
    const harness = new Harness({ sampleRate: 0 });
    complete(harness, { "x-b3-flags": "1" });
    assert.equal(harness.spans().length, 8);
    assert.ok(harness.spans().every(({ debug }) => debug === true));
  });

  it("answers in the configured format, x-b3-traceid always included", () => {
    const w3c = new Harness({ propagation: ["w3c"] }).requests.start(INCOMING);
    assert.deepEqual(w3c.responseHeaders(), {
      "x-b3-traceid": w3c.traceId,
      traceparent: `00-${w3c.traceId}-${w3c.spanId}-03`,
    });
    const b3 = new Harness({ propagation: ["b3"] }).requests.start(INCOMING);
    assert.deepEqual(b3.responseHeaders(), { "x-b3-traceid": b3.traceId, b3: `${b3.traceId}-${b3.spanId}-1` });
  });

  it("has ids and headers but no spans when the caller said no", () => {
    const harness = new Harness();
    const trace = complete(harness, { traceparent: `00-${TRACE}-${SPAN}-00` });
    assert.deepEqual([trace.sampled, trace.traceId], [false, TRACE]);
    assert.notEqual(trace.spanId, SPAN);
    assert.deepEqual(trace.responseHeaders(), {
      "x-b3-traceid": TRACE,
      "x-b3-spanid": trace.spanId,
      "x-b3-sampled": "0",
    });
    assert.deepEqual([...harness.store.traces()], []);
    assert.equal(harness.processor.counts.ended, 0);
  });
});
