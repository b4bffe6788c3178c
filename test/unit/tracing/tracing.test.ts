import assert from "node:assert/strict";
import { traceFields } from "../../../src/tracing/log-correlation.js";
import { createTracing } from "../../../src/tracing/tracing.js";
import { GENERATE, Harness, INCOMING } from "./harness.js";

describe("createTracing", () => {
  it("does nothing when spans would go nowhere", async () => {
    const tracing = createTracing({
      serviceName: "vitrine",
      propagation: ["b3multi"],
      sampleRate: 1,
      storeTraces: false,
      localEndpoint: {},
      log: () => assert.fail("nothing to say"),
    });
    const request = tracing.startRequest({ ...INCOMING, headers: { b3: "d" } });
    request.generating(1, GENERATE);
    request.finish({ status: 200, at: 2 });
    assert.deepEqual([request.sampled, request.responseHeaders(), tracing.store], [false, {}, undefined]);
    assert.deepEqual(traceFields(request), {});
    assert.equal(tracing.counters().ended, 0);
    await tracing.shutdown(0);
  });
});

describe("traceFields", () => {
  it("names the request's trace and span", () => {
    const request = new Harness().requests.start(INCOMING);
    assert.deepEqual(traceFields(request), {
      trace_id: request.traceId,
      span_id: request.spanId,
      trace_flags: "01",
    });
  });
});
