import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { monotonicMicros } from "../../src/protocol.js";
import { DELIVERY_LIMITS, type DeliveryLimits } from "../../src/tracing/delivery.js";
import { createTracing, type Tracing, type TracingInternals } from "../../src/tracing/tracing.js";
import type { ZipkinSpan } from "../../src/tracing/zipkin-span.js";
import { type Behaviour, FakeCollector } from "./tracing-collector.js";

/** Small times, so that tests do not wait; what is under test does not depend on them. */
const QUICK: DeliveryLimits = { ...DELIVERY_LIMITS, batchMs: 20, retryMs: 5 };
const NO_GPU = "data:text/javascript,export const openGpuSampler = async () => undefined;";
const CALLER = { traceId: "48485a3953bb6124", spanId: "a2fb4a1d1a96d312" };

describe("tracing through the export thread", function () {
  this.timeout(30_000);
  const running: Tracing[] = [];
  const collectors: FakeCollector[] = [];
  let logs: string[] = [];

  afterEach(async () => {
    await Promise.all(running.splice(0).map((tracing) => tracing.shutdown(0)));
    await Promise.all(collectors.splice(0).map((collector) => collector.stop()));
    logs = [];
  });

  function start(zipkinEndpoint: string | undefined, internals: Partial<TracingInternals> = {}): Tracing {
    const tracing = createTracing(
      {
        serviceName: "vitrine",
        ...(zipkinEndpoint === undefined ? {} : { zipkinEndpoint }),
        propagation: "b3multi",
        sampleRate: 1,
        storeTraces: true,
        localEndpoint: { ipv4: "127.0.0.1", port: 8080 },
        log: (_level, message) => void logs.push(message),
      },
      { deliveryLimits: QUICK, drainMs: 5, gpuModule: NO_GPU, ...internals },
    );
    running.push(tracing);
    return tracing;
  }

  async function collector(behaviour: Behaviour): Promise<FakeCollector> {
    const started = await FakeCollector.start(behaviour);
    collectors.push(started);
    return started;
  }

  /** Two spans a request. */
  function request(tracing: Tracing, headers: Record<string, string> = {}): string {
    const start = monotonicMicros() - 1_000;
    const trace = tracing.startRequest({ method: "POST", path: "/v1/completions", headers, start, remote: {} });
    trace.tokenized(start + 100, start + 300, 5);
    trace.finish({ status: 200, at: start + 1_000 });
    return trace.traceId;
  }

  async function until(condition: () => boolean): Promise<void> {
    while (!condition()) await sleep(5);
  }

  /** The promise of ExportCounters; holds when nothing moves. */
  function assertBalanced(tracing: Tracing): void {
    const { ended, delivered, dropped, queued } = tracing.counters();
    const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0);
    assert.equal(ended, delivered + lost + queued, JSON.stringify(tracing.counters()));
  }

  it("delivers valid Zipkin v2 and asks not to be traced itself", async () => {
    const zipkin = await collector(202);
    const tracing = start(zipkin.endpoint);
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
    const zipkin = await collector(202);
    const tracing = start(zipkin.endpoint);
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
    const zipkin = await collector(202);
    const tracing = start(zipkin.endpoint);
    request(tracing);
    await until(() => tracing.counters().delivered === 2);
    const before = zipkin.spans;
    request(tracing);
    // This thread now does nothing at all until the collector has the spans.
    assert.ok(zipkin.blockUntilMoreThan(before, 10_000));
  });

  it("sends to a slow collector one POST at a time, and loses nothing that fits the queue", async () => {
    const zipkin = await collector("slow");
    const tracing = start(zipkin.endpoint);
    for (let count = 0; count < 1_000; count++) request(tracing);
    await until(() => tracing.counters().delivered === 2_000);
    assert.equal(zipkin.mostOpen, 1);
    assertBalanced(tracing);
  });

  it("counts what a refusing collector does not get, and says so once", async () => {
    const port = await freePort();
    const tracing = start(`http://127.0.0.1:${port}/api/v2/spans`);
    for (let count = 0; count < 100; count++) request(tracing);
    await until(() => tracing.counters().dropped.connection_failed === 200);
    for (let count = 0; count < 100; count++) request(tracing);
    await until(() => tracing.counters().dropped.connection_failed === 400);
    await until(() => logs.length > 0);
    assert.equal(logs.length, 1);
    assert.match(logs[0] ?? "", new RegExp(`127.0.0.1:${port}/api/v2/spans failed: ECONNREFUSED`));
    assertBalanced(tracing);
  });

  for (const [behaviour, cause, posts] of [
    [500, "server_error", 3],
    [429, "server_error", 3],
    [400, "rejected", 1],
    [301, "rejected", 1],
    ["hang", "timeout", 3],
  ] as const) {
    it(`drops for "${cause}" after ${posts} POSTs when the collector answers ${behaviour}`, async () => {
      const zipkin = await collector(behaviour);
      const tracing = start(zipkin.endpoint, { deliveryLimits: { ...QUICK, requestTimeoutMs: 200 } });
      request(tracing);
      await until(() => tracing.counters().dropped[cause] === 2);
      assert.deepEqual([zipkin.posts, tracing.counters().sendsFailed], [posts, posts]);
      assertBalanced(tracing);
    });
  }

  it("stays bounded, and counts every drop, when the collector hangs under load", async () => {
    const zipkin = await collector("hang");
    const deliveryLimits = { ...QUICK, queueSpans: 1_000, requestTimeoutMs: 60_000 };
    const tracing = start(zipkin.endpoint, { deliveryLimits });
    for (let burst = 0; burst < 20; burst++) {
      for (let count = 0; count < 500; count++) request(tracing);
      // A read empties the ring, so that what is tested is the queue's bound and not the ring's.
      await tracing.store?.get("/services");
    }
    const { ended, queued, dropped, delivered } = tracing.counters();
    assert.deepEqual([ended, queued, dropped.queue_full, delivered], [20_000, 1_000, 19_000, 0]);
    assertBalanced(tracing);
  });

  it("refuses and counts spans that end faster than the thread takes them", async () => {
    const tracing = start(undefined, { ringBytes: 4_096, drainMs: 60_000 });
    for (let count = 0; count < 100; count++) request(tracing);
    const { ended, dropped, queued } = tracing.counters();
    assert.equal(ended, 200);
    assert.ok((dropped.ring_full ?? 0) > 100 && queued > 10);
    await tracing.store?.get("/services");
    assert.equal(tracing.counters().queued, 0);
    assertBalanced(tracing);
  });

  it("shuts down though the collector hangs, and accounts for what was left", async () => {
    const zipkin = await collector("hang");
    const tracing = start(zipkin.endpoint, { deliveryLimits: { ...QUICK, requestTimeoutMs: 600_000 } });
    request(tracing);
    await until(() => zipkin.posts === 1);
    for (let count = 0; count < 50; count++) request(tracing);
    await tracing.shutdown(100);
    const { ended, queued, dropped } = tracing.counters();
    assert.deepEqual([ended, queued, dropped.shutdown], [102, 0, 102]);
    assertBalanced(tracing);
  });

  it("sends what it has when it is shut down", async () => {
    const zipkin = await collector(202);
    const tracing = start(zipkin.endpoint, { deliveryLimits: { ...QUICK, batchMs: 600_000 }, drainMs: 600_000 });
    for (let count = 0; count < 1_000; count++) request(tracing);
    await tracing.shutdown(10_000);
    assert.equal(tracing.counters().delivered, 2_000);
    assertBalanced(tracing);
  });

  it("answers reads with every span that ended before", async () => {
    const tracing = start(undefined, { drainMs: 600_000 });
    for (let count = 0; count < 50; count++) {
      const traceId = request(tracing);
      const answer = await tracing.store?.get(`/trace/${traceId}`);
      assert.equal(answer?.status, 200);
      assert.equal((JSON.parse(answer?.body ?? "[]") as ZipkinSpan[]).length, 2);
    }
    assert.equal((await tracing.store?.get("/traces?limit=none"))?.status, 400);
    assert.deepEqual(await tracing.store?.get("/trace/dead"), { status: 404, body: "dead not found" });
    assert.deepEqual([tracing.counters().delivered, tracing.counters().queued], [100, 0]);
  });

  it("answers 503 when the thread is gone", async () => {
    const tracing = start(undefined);
    await tracing.shutdown(1_000);
    assert.equal((await tracing.store?.get("/services"))?.status, 503);
  });

  it("starts again after a crash, without harm to spans still in the ring", async () => {
    const zipkin = await collector(202);
    process.env.VITRINE_TEST_CRASH = "1";
    const crash = "setTimeout(() => { throw new Error('crashed on purpose') }, 300)";
    const gpuModule = `data:text/javascript,export async function openGpuSampler() { if (process.env.VITRINE_TEST_CRASH) ${crash} }`;
    const tracing = start(zipkin.endpoint, { gpuModule, deliveryLimits: { ...QUICK, batchMs: 600_000 } });
    request(tracing);
    const answers = await Promise.all([tracing.store?.get("/services")]);
    assert.equal(answers[0]?.status, 200);
    await until(() => logs.some((line) => line.includes("crashed on purpose")));
    delete process.env.VITRINE_TEST_CRASH;
    // The dead thread held two spans: they are counted, not forgotten.
    assert.deepEqual([tracing.counters().dropped.thread_lost, tracing.counters().queued], [2, 0]);
    assert.equal((await tracing.store?.get("/services"))?.status, 503);
    request(tracing);
    while ((await tracing.store?.get("/services"))?.status !== 200) await sleep(5);
    await tracing.shutdown(10_000);
    assert.equal(tracing.counters().delivered, 2);
    assertBalanced(tracing);
  });

  it("does not keep a process alive that nobody shuts down, but lets a read finish", () => {
    const module = new URL("../../src/tracing/tracing.js", import.meta.url).href;
    const script = `
      import { createTracing } from ${JSON.stringify(module)};
      const tracing = createTracing({ serviceName: "t", propagation: "b3", sampleRate: 1, storeTraces: true, localEndpoint: {}, log() {} });
      tracing.startRequest({ method: "GET", path: "/", headers: {}, start: 0, remote: {} }).finish({ status: 200, at: 5 });
      console.log((await tracing.store.get("/services")).body);
    `;
    const child = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
      encoding: "utf8",
      timeout: 20_000,
    });
    assert.deepEqual([child.status, child.stdout, child.stderr], [0, '["t"]\n', ""]);
  });

  it("tags spans that ran on a GPU with what the device did meanwhile", async () => {
    const gpuModule = `data:text/javascript,export const openGpuSampler = async (device) => ({
      periodMs: 100,
      sample: async () => ({ at: 1, utilization: 60 %2B device, memoryUsedBytes: 4096, powerWatts: 250 }),
    })`;
    const tracing = start(undefined, { gpuModule });
    const load = () => {
      const at = monotonicMicros();
      tracing.recordLoad({
        load: { start: at - 5_000, end: at, phases: [] },
        model: { name: "tiny" },
        device: { requested: "cuda", provider: "cuda", deviceId: 0, reason: "asked for" },
        restarts: 0,
      });
    };
    let tags: ZipkinSpan["tags"];
    // The sampler opens some time after the thread starts.
    while (tags?.["ai.gpu.power"] === undefined) {
      load();
      const [trace] = JSON.parse((await tracing.store?.get("/traces?limit=1"))?.body ?? "[]") as ZipkinSpan[][];
      tags = trace?.[0]?.tags;
      await sleep(5);
    }
    assert.deepEqual(
      [tags["ai.gpu.utilization"], tags["ai.gpu.memory_used"], tags["ai.gpu.power"]],
      ["60", "4096", "250"],
    );
  });

  it("goes on without GPU tags when the device cannot be opened, and says so", async () => {
    const gpuModule = "data:text/javascript,export const openGpuSampler = async () => { throw new Error('no NVML') };";
    const tracing = start(undefined, { gpuModule });
    await until(() => logs.some((line) => line.includes("no NVML")));
    assert.equal((await tracing.store?.get(`/trace/${request(tracing)}`))?.status, 200);
  });

  it("agrees with the stock OpenTelemetry exporter where that one is right", async () => {
    const bySender = await Promise.all(
      (["vitrine", "otel"] as const).map(async (encoder) => {
        const zipkin = await collector(202);
        const ids = { generateTraceId: () => "a".repeat(32), generateSpanId: counter() };
        const clock = { wall: () => 1_700_000_000_000_000, monotonic: () => 0 };
        const tracing = start(zipkin.endpoint, { encoder, clock, idGenerator: ids });
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
