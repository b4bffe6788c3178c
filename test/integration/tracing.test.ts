import assert from "node:assert/strict";
import { createServer } from "node:net";
import { assertBalanced, QUICK, request, TracingHarness, until } from "./tracing-harness.js";

const CALLER = { traceId: "48485a3953bb6124", spanId: "a2fb4a1d1a96d312" };

describe("sending spans to a collector", function () {
  this.timeout(30_000);
  const harness = new TracingHarness();

  afterEach(() => harness.stop());

  it("delivers valid Zipkin v2 and asks not to be traced itself", async () => {
    const zipkin = await harness.collector(202);
    const tracing = harness.start(zipkin.endpoint);
    tracing.listening(8080);
    request(tracing, { b3: `${CALLER.traceId}-${CALLER.spanId}-1` });
    await until(() => tracing.counters().delivered === 2);
    await until(() => zipkin.received.length === 1);
    const [post] = zipkin.received;
    assert.equal(post?.url, "/api/v2/spans");
    assert.equal(post?.headers["content-type"], "application/json");
    assert.equal(post?.headers.b3, "0");
    const server = post?.spans.find(({ kind }) => kind === "SERVER");
    assert.deepEqual(
      [server?.traceId, server?.parentId, server?.name, server?.duration],
      [CALLER.traceId, CALLER.spanId, "POST /v1/completions", 1_000],
    );
    for (const span of post?.spans ?? []) {
      assert.ok(Number.isInteger(span.timestamp) && Number.isInteger(span.duration) && span.duration >= 1);
      assert.deepEqual(span.localEndpoint, { serviceName: "vitrine", ipv4: "127.0.0.1", port: 8080 });
      assert.ok(Object.values(span.tags ?? {}).every((value) => typeof value === "string"));
    }
    assertBalanced(tracing);
  });

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

  it("keeps sending while the thread that makes spans is stuck", async () => {
    const zipkin = await harness.collector(202);
    const tracing = harness.start(zipkin.endpoint);
    request(tracing);
    await until(() => tracing.counters().delivered === 2);
    const before = zipkin.spans;
    request(tracing);
    // This thread now does nothing at all until the collector has the spans.
    assert.ok(zipkin.blockUntilMoreThan(before, 10_000));
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

  it("shuts down though the collector hangs, and accounts for what was left", async () => {
    const zipkin = await harness.collector("hang");
    const tracing = harness.start(zipkin.endpoint, { deliveryLimits: { ...QUICK, requestTimeoutMs: 600_000 } });
    request(tracing);
    await until(() => zipkin.posts === 1);
    for (let count = 0; count < 50; count++) request(tracing);
    await tracing.shutdown(100);
    const { ended, queued, dropped } = tracing.counters();
    assert.deepEqual([ended, queued, dropped.shutdown], [102, 0, 102]);
    assertBalanced(tracing);
  });

  it("sends what it has when it is shut down", async () => {
    const zipkin = await harness.collector(202);
    const tracing = harness.start(zipkin.endpoint, {
      deliveryLimits: { ...QUICK, batchMs: 600_000 },
      drainMs: 600_000,
    });
    for (let count = 0; count < 1_000; count++) request(tracing);
    await tracing.shutdown(10_000);
    assert.equal(tracing.counters().delivered, 2_000);
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

/** A port on which nothing listens. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
