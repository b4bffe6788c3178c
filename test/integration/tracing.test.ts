import assert from "node:assert/strict";
import { freePort } from "../support/free-port.js";
import { assertBalanced, QUICK, request, TracingHarness, until } from "./tracing-harness.js";

describe("sending spans to a collector", function () {
  this.timeout(30_000);
  const harness = new TracingHarness();

  afterEach(() => harness.stop());

  it("delivers every one of many spans exactly once", async () => {
    const zipkin = await harness.collector(202);
    const tracing = harness.start(zipkin.endpoint);
    for (let count = 0; count < 2_000; count++) request(tracing);
    await until(() => tracing.counters().delivered === 4_000);
    await until(() => zipkin.received.flatMap(({ spans }) => spans).length === 4_000);
    const spans = zipkin.received.flatMap((post) => post.spans);
    assert.equal(new Set(spans.map(({ id }) => id)).size, 4_000);
    assert.ok(zipkin.received.every((post) => post.spans.length <= 512));
    assert.equal(zipkin.mostOpen, 1);
    assertBalanced(tracing);
  });

  it("sends to a slow collector one POST at a time, and loses nothing that fits the queue", async () => {
    const zipkin = await harness.collector("slow");
    const tracing = harness.start(zipkin.endpoint);
    for (let count = 0; count < 1_000; count++) request(tracing);
    await until(() => tracing.counters().delivered === 2_000);
    assert.equal(zipkin.mostOpen, 1);
    assertBalanced(tracing);
  });

  it("counts what a refusing collector does not get, and says so once", async () => {
    const port = await freePort();
    const tracing = harness.start(`http://127.0.0.1:${port}/api/v2/spans`);
    for (let count = 0; count < 100; count++) request(tracing);
    await until(() => tracing.counters().dropped.connection_failed === 200);
    for (let count = 0; count < 100; count++) request(tracing);
    await until(() => tracing.counters().dropped.connection_failed === 400);
    await until(() => harness.logs.length > 0);
    assert.equal(harness.logs.length, 1);
    assert.match(harness.logs[0] ?? "", new RegExp(`127.0.0.1:${port}/api/v2/spans failed: ECONNREFUSED`));
    assertBalanced(tracing);
  });

  for (const [behaviour, cause, posts] of [
    [500, "server_error", 3],
    [429, "server_error", 3],
    [400, "refused", 3],
    [403, "rejected", 1],
    [301, "rejected", 1],
    ["hang", "timeout", 3],
  ] as const) {
    it(`drops for "${cause}" after ${posts} POSTs when the collector answers ${behaviour}`, async () => {
      const zipkin = await harness.collector(behaviour);
      const tracing = harness.start(zipkin.endpoint, { deliveryLimits: { ...QUICK, requestTimeoutMs: 200 } });
      request(tracing);
      await until(() => tracing.counters().dropped[cause] === 2);
      assert.deepEqual([zipkin.posts, tracing.counters().messages], [posts, posts]);
      assertBalanced(tracing);
    });
  }

  it("stays bounded, and counts every drop, when the collector hangs under load", async () => {
    const zipkin = await harness.collector("hang");
    const deliveryLimits = { ...QUICK, queueSpans: 1_000, requestTimeoutMs: 60_000 };
    const tracing = harness.start(zipkin.endpoint, { deliveryLimits });
    for (let burst = 0; burst < 20; burst++) {
      for (let count = 0; count < 500; count++) request(tracing);
      // A read empties the ring, so that what is tested is the queue's bound and not the ring's.
      await tracing.store?.get("/services");
    }
    const { ended, queued, dropped, delivered } = tracing.counters();
    assert.deepEqual([ended, queued, dropped.queue_full, delivered], [20_000, 1_000, 19_000, 0]);
    assertBalanced(tracing);
  });

  it("agrees with the stock OpenTelemetry exporter where that one is right", async () => {
    const bySender = await Promise.all(
      (["json", "otel"] as const).map(async (encoder) => {
        const zipkin = await harness.collector(202);
        const ids = { generateTraceId: () => "a".repeat(32), generateSpanId: counter() };
        const clock = { wall: () => 1_700_000_000_000_000, monotonic: () => 0 };
        const tracing = harness.start(
          undefined,
          { clock, idGenerator: ids },
          { destinations: [{ kind: "zipkin", endpoint: zipkin.endpoint, encoder }] },
        );
        const trace = tracing.startRequest({
          method: "POST",
          path: "/v1/completions",
          headers: {},
          start: 1,
          remote: {},
        });
        trace.tokenized(100, 300, 5);
        trace.finish({ status: 500, at: 1_000, error: { code: "internal", message: "broken" } });
        await until(() => zipkin.received.length === 1);
        return zipkin.received[0]?.spans ?? [];
      }),
    );
    const shared = bySender.map((spans) =>
      spans.map(({ localEndpoint, tags = {}, ...span }) => {
        const { "otel.status_code": _status, "service.name": _service, ...rest } = tags;
        return { ...span, service: localEndpoint.serviceName, tags: rest };
      }),
    );
    assert.equal(shared[0]?.length, 2);
    assert.deepEqual(shared[0], shared[1]);
  });
});

function counter(): () => string {
  let next = 0;
  return () => (++next).toString(16).padStart(16, "0");
}
