/** What the export thread promises to the process it is in; `tracing-promises-collector.test.ts` has what it promises of collectors. */
import assert from "node:assert/strict";
import { createHook } from "node:async_hooks";
import { monotonicMicros } from "../../src/protocol.js";
import { TAIL_LIMITS } from "../../src/tracing/export/tail-sampler.js";
import { freePort } from "../support/free-port.js";
import { assertBalanced, QUICK, request, TracingHarness, until } from "./tracing-harness.js";

const CALLER = { traceId: "48485a3953bb6124", spanId: "a2fb4a1d1a96d312" };
const NEVER_MS = 600_000;

/** What this thread itself does while `work` goes on: sockets, TLS, name look-ups, compression, JSON. */
async function slowWorkOfThisThread(work: () => Promise<void>): Promise<string[]> {
  const seen: string[] = [];
  const hook = createHook({
    init: (_id, type) => {
      if (/TCP|TLS|HTTP|PIPE|GETADDRINFO|WRITEWRAP|ZLIB|FSREQ/.test(type)) seen.push(type);
    },
  });
  const json = globalThis.JSON;
  globalThis.JSON = new Proxy(json, {
    get: (target, name) => {
      seen.push(`JSON.${String(name)}`);
      return Reflect.get(target, name) as unknown;
    },
  });
  hook.enable();
  try {
    await work();
  } finally {
    hook.disable();
    globalThis.JSON = json;
  }
  return seen;
}

describe("what the export thread promises", function () {
  this.timeout(30_000);
  const harness = new TracingHarness();

  afterEach(() => harness.stop());

  for (const behaviour of [202, 503, "slow", "hang", "down"] as const) {
    it(`1. never blocks: no JSON, gzip, TLS or socket work of the producer, collector: ${behaviour}`, async () => {
      const endpoint =
        behaviour === "down"
          ? `http://127.0.0.1:${await freePort()}/api/v2/spans`
          : (await harness.collector(behaviour)).endpoint;
      const done = await slowWorkOfThisThread(async () => {
        const tracing = harness.start(endpoint, { deliveryLimits: { ...QUICK, requestTimeoutMs: 100 } });
        for (let count = 0; count < 500; count++) request(tracing);
        await until(() => tracing.counters().queued === 0);
        assert.ok(tracing.counters().messages > 0);
      });
      assert.deepEqual(done, []);
    });
  }

  it("1. never blocks: a span that meets a full ring is dropped and not waited with", () => {
    const tracing = harness.start(undefined, { ringBytes: 4_096, drainMs: NEVER_MS });
    // This thread never rests, so nothing it might wait for could come.
    for (let count = 0; count < 100; count++) request(tracing);
    assert.equal(tracing.counters().ended, 200);
    assert.ok((tracing.counters().dropped.ring_full ?? 0) > 100);
  });

  it("2. works while the producer is stuck: spans that ended just before a synchronous block arrive during it", async () => {
    const zipkin = await harness.collector(202);
    const tracing = harness.start(zipkin.endpoint);
    request(tracing);
    await until(() => tracing.counters().delivered === 2);
    const before = zipkin.spans;
    request(tracing);
    // This thread now does nothing at all until the collector has the spans.
    assert.ok(zipkin.blockUntilMoreThan(before, 10_000));
  });

  it("3. bounded by count and by bytes; a span too large for a batch is refused and counted", async () => {
    const zipkin = await harness.collector("hang");
    const dropped = async (limits: Partial<typeof QUICK>) => {
      const deliveryLimits = { ...QUICK, requestTimeoutMs: NEVER_MS, ...limits };
      const tracing = harness.start(zipkin.endpoint, { deliveryLimits, drainMs: NEVER_MS });
      for (let count = 0; count < 50; count++) request(tracing);
      await tracing.store?.get("/services");
      return tracing.counters();
    };
    const byCount = await dropped({ queueSpans: 30 });
    assert.deepEqual([byCount.queued, byCount.dropped.queue_full], [30, 70]);
    const byBytes = await dropped({ queueBytes: 5_000 });
    assert.ok(byBytes.queuedBytes <= 5_000 && byBytes.queuedBytes > 4_000, `${byBytes.queuedBytes} bytes`);
    assert.equal(byBytes.queued + (byBytes.dropped.queue_full ?? 0), 100);
    const oversize = await dropped({ batchBytes: 100 });
    assert.deepEqual([oversize.queued, oversize.dropped.oversize], [0, 100]);
  });

  it("4. accounts for every span, exactly: what did not arrive is counted, by cause", async () => {
    const zipkin = await harness.collector("picky");
    const tracing = harness.start(zipkin.endpoint, {
      deliveryLimits: { ...QUICK, batchSpans: 64, queueSpans: 300 },
      ringBytes: 2 ** 16,
    });
    let made = 0;
    for (let burst = 0; burst < 10; burst++) {
      for (let count = 0; count < 200; count++, made++) {
        request(tracing, {}, made % 97 === 5 ? "/poison" : "/v1/completions");
      }
      await tracing.store?.get("/services");
    }
    await until(() => tracing.counters().queued === 0);
    await until(
      () =>
        zipkin.received.filter(({ status }) => status === 202).flatMap(({ spans }) => spans).length === zipkin.spans,
    );
    const { ended, delivered, dropped } = tracing.counters();
    const arrived = zipkin.received.filter(({ status }) => status === 202).flatMap(({ spans }) => spans);
    assert.equal(new Set(arrived.map(({ id }) => id)).size, delivered);
    const lost = Object.entries(dropped).filter(([, count]) => count > 0);
    assert.ok(lost.length > 1 && (dropped.refused ?? 0) > 0, JSON.stringify(dropped));
    assert.equal(ended, 2 * made);
    assert.equal(
      lost.reduce((sum, [, count]) => sum + count, 0),
      ended - arrived.length,
    );
    await tracing.shutdown(1_000);
    assert.match(
      harness.logs.at(-1) ?? "",
      new RegExp(`${ended} ended, ${delivered} delivered, ${ended - delivered} dropped`),
    );
    assert.ok(harness.logs.some((line) => line.includes("dropped (refused)")));
  });

  it("4. accounts for spans of undecided traces, too: they are queued, evicted, kept or sampled out", async () => {
    const zipkin = await harness.collector(202);
    const tail = { failed: true, longestMs: 60_000 };
    const tracing = harness.start(zipkin.endpoint, {}, { sampleRate: 0, tail });
    const begin = () => {
      const start = monotonicMicros() - 1_000;
      const head = { method: "POST", path: "/v1/completions", headers: {}, start, remote: {} };
      const trace = tracing.startRequest(head);
      trace.tokenized(start, start + 10, 3);
      return trace;
    };
    const read = async () => {
      await tracing.store?.get("/services");
      assertBalanced(tracing);
      return tracing.counters();
    };
    const first = begin();
    assert.equal((await read()).queued, 1);
    for (let counts = await read(); counts.dropped.tail_evicted === 0; counts = await read()) {
      for (let more = 0; more < 1_000; more++) begin();
    }
    const { queued } = tracing.counters();
    assert.ok(queued >= TAIL_LIMITS.traces);
    const [good, bad] = [begin(), begin()];
    const at = monotonicMicros();
    good.finish({ status: 200, at });
    const error = { code: "inference_failed", message: "no memory" } as const;
    // Its earlier span is gone, and is no longer counted when the last one comes.
    for (const trace of [first, bad]) trace.finish({ status: 500, at, error });
    await until(() => tracing.counters().delivered === 3);
    const { sampledOut, dropped } = await read();
    assert.equal(sampledOut, 2);
    assert.ok((dropped.tail_evicted ?? 0) > 0);
    assert.equal(zipkin.received.flatMap(({ spans }) => spans).length, 3);
    await tracing.shutdown(1_000);
    assertBalanced(tracing);
    assert.equal(tracing.counters().queued, 0);
    assert.ok((tracing.counters().dropped.shutdown ?? 0) > 0, "undecided to the end");
  });

  it("5. sends at 512 spans, one POST in flight; its own requests say b3: 0 and make no spans", async () => {
    const zipkin = await harness.collector("slow");
    const tracing = harness.start(zipkin.endpoint, { deliveryLimits: { ...QUICK, batchMs: NEVER_MS } });
    for (let count = 0; count < 512 + 100; count++) request(tracing);
    await until(() => zipkin.received.length === 2);
    await until(() => tracing.counters().queued === 200);
    assert.deepEqual(
      zipkin.received.map(({ spans, headers }) => [spans.length, headers.b3]),
      [
        [512, "0"],
        [512, "0"],
      ],
    );
    assert.deepEqual([zipkin.mostOpen, zipkin.connections, tracing.counters().ended], [1, 1, 1_224]);
  });

  it("5. sends at the byte cap, and some time after the first unsent span", async () => {
    const zipkin = await harness.collector(202);
    const bytes = 8_000;
    const tracing = harness.start(zipkin.endpoint, {
      deliveryLimits: { ...QUICK, batchMs: NEVER_MS, batchBytes: bytes },
    });
    for (let count = 0; count < 100; count++) request(tracing);
    await until(() => zipkin.received.length > 2);
    for (const { spans } of zipkin.received) {
      const size = JSON.stringify(spans).length;
      assert.ok(size <= bytes && size > bytes / 2, `${size} bytes`);
    }
    const soon = await harness.collector(202);
    request(harness.start(soon.endpoint));
    await until(() => soon.spans === 2);
  });

  it("6. encodes valid Zipkin v2", async () => {
    const zipkin = await harness.collector(202);
    const tracing = harness.start(zipkin.endpoint);
    tracing.listening(8080);
    request(tracing, { b3: `${CALLER.traceId}-${CALLER.spanId}-d` });
    const start = monotonicMicros() + 0.25;
    const remote = { address: "10.1.2.3", port: 4711 };
    const failing = tracing.startRequest({ method: "POST", path: "/v1/completions", headers: {}, start, remote });
    failing.finish({ status: 500, at: start, error: { code: "internal", message: "broken" } });
    await until(() => zipkin.received.flatMap(({ spans }) => spans).length === 3);
    const [post] = zipkin.received;
    assert.deepEqual([post?.url, post?.headers["content-type"]], ["/api/v2/spans", "application/json"]);
    const spans = zipkin.received.flatMap((each) => each.spans);
    for (const span of spans) {
      assert.ok(Number.isInteger(span.timestamp) && Number.isInteger(span.duration) && span.duration >= 1);
      for (const id of [span.traceId, span.id, span.parentId ?? "0".repeat(16)])
        assert.match(id, /^([0-9a-f]{16}){1,2}$/);
      assert.deepEqual(span.localEndpoint, { serviceName: "vitrine", ipv4: "127.0.0.1", port: 8080 });
      assert.ok(Object.values(span.tags ?? {}).every((value) => typeof value === "string"));
      assert.equal(span.debug, span.traceId === CALLER.traceId ? true : undefined);
    }
    const joined = spans.find(({ kind, traceId }) => kind === "SERVER" && traceId === CALLER.traceId);
    assert.deepEqual(
      [joined?.parentId, joined?.name, joined?.duration],
      [CALLER.spanId, "POST /v1/completions", 1_000],
    );
    const failed = spans.find(({ traceId }) => traceId === failing.traceId);
    assert.deepEqual([failed?.tags?.error, failed?.remoteEndpoint], ["broken", { ipv4: "10.1.2.3", port: 4711 }]);
  });
});
