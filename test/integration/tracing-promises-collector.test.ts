/** What the export thread promises when collectors, or it itself, fail. Promise 9, mutual TLS, has a file of its own. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { POISON } from "./tracing-collector.js";
import { assertBalanced, QUICK, request, TracingHarness, until } from "./tracing-harness.js";

const NEVER_MS = 600_000;

describe("what the export thread promises of failures", function () {
  this.timeout(30_000);
  const harness = new TracingHarness();

  afterEach(() => harness.stop());

  it("7. isolates poison: a 400 on 512 spans with one bad span delivers 511", async () => {
    const zipkin = await harness.collector("picky");
    const tracing = harness.start(zipkin.endpoint, { deliveryLimits: { ...QUICK, batchMs: NEVER_MS } });
    for (let count = 0; count < 256; count++) request(tracing, {}, count === 99 ? "/poison" : undefined);
    await until(() => tracing.counters().queued === 0);
    const { delivered, dropped, messages } = tracing.counters();
    assert.deepEqual([delivered, dropped.refused], [511, 1]);
    assert.equal(zipkin.posts, messages);
    const arrived = zipkin.received.filter(({ status }) => status === 202).flatMap(({ spans }) => spans);
    assert.equal(new Set(arrived.map(({ id }) => id)).size, 511);
    assert.ok(arrived.every(({ name }) => name !== POISON));
  });

  it("8. retries 429, 5xx, broken connections and timeouts", async () => {
    const zipkin = await harness.collector(429, 503, "reset", "hang", 202);
    const tracing = harness.start(zipkin.endpoint, {
      deliveryLimits: { ...QUICK, requestTimeoutMs: 200, attempts: 5 },
    });
    request(tracing);
    await until(() => tracing.counters().delivered === 2);
    const { messages, messagesDropped } = tracing.counters();
    assert.deepEqual([messages, zipkin.posts], [5, 5]);
    const failed = Object.entries(messagesDropped).filter(([, count]) => count > 0);
    assert.deepEqual(Object.fromEntries(failed), { connection_failed: 1, timeout: 1, server_error: 2 });
  });

  for (const status of [301, 307, 401, 403, 404, 408]) {
    it(`8. never retries other answers, nor takes them for success: ${status}`, async () => {
      const zipkin = await harness.collector(status, 202);
      const tracing = harness.start(zipkin.endpoint);
      request(tracing);
      await until(() => tracing.counters().queued === 0);
      assert.deepEqual([tracing.counters().delivered, tracing.counters().dropped.rejected, zipkin.posts], [0, 2, 1]);
    });
  }

  it("10. shuts down in bounded time though the collector hangs, and accounts for what was left", async () => {
    const zipkin = await harness.collector("hang");
    const tracing = harness.start(zipkin.endpoint, { deliveryLimits: { ...QUICK, requestTimeoutMs: NEVER_MS } });
    request(tracing);
    await until(() => zipkin.posts === 1);
    for (let count = 0; count < 50; count++) request(tracing);
    await tracing.shutdown(100);
    const { ended, queued, dropped } = tracing.counters();
    assert.deepEqual([ended, queued, dropped.shutdown], [102, 0, 102]);
  });

  it("10. shuts down in bounded time though the thread itself is stuck", async () => {
    const gpuModule = `data:text/javascript,import { parentPort } from "node:worker_threads";
      export const openGpuSampler = () => {
        parentPort.postMessage({ type: "log", level: "info", message: "stuck" });
        for (;;);
      };`;
    const tracing = harness.start(undefined, { gpuModule });
    await until(() => harness.logs.includes("stuck"));
    for (let count = 0; count < 50; count++) request(tracing);
    await tracing.shutdown(100);
    const { ended, queued, dropped } = tracing.counters();
    assert.deepEqual([ended, queued, dropped.shutdown], [100, 0, 100]);
  });

  it("10. sends what it has when it is shut down", async () => {
    const zipkin = await harness.collector(202);
    const deliveryLimits = { ...QUICK, batchMs: NEVER_MS };
    const tracing = harness.start(zipkin.endpoint, { deliveryLimits, drainMs: NEVER_MS });
    for (let count = 0; count < 1_000; count++) request(tracing);
    await tracing.shutdown(10_000);
    assert.equal(tracing.counters().delivered, 2_000);
  });

  it("10. restarts after a crash without harm: what died with the thread is counted, what is in the ring is sent", async () => {
    const zipkin = await harness.collector(202);
    process.env.VITRINE_TEST_CRASH = "1";
    const crash = "setTimeout(() => { throw new Error('crashed on purpose') }, 300)";
    const gpuModule = `data:text/javascript,export async function openGpuSampler() { if (process.env.VITRINE_TEST_CRASH) ${crash} }`;
    const tracing = harness.start(zipkin.endpoint, { gpuModule, deliveryLimits: { ...QUICK, batchMs: NEVER_MS } });
    tracing.listening(8081);
    request(tracing);
    const answers = await Promise.all([tracing.store?.get("/services")]);
    assert.equal(answers[0]?.status, 200);
    await until(() => harness.logs.some((line) => line.includes("crashed on purpose")));
    delete process.env.VITRINE_TEST_CRASH;
    // The dead thread held two spans: they are counted, not forgotten.
    assert.deepEqual([tracing.counters().dropped.thread_lost, tracing.counters().queued], [2, 0]);
    assert.equal((await tracing.store?.get("/services"))?.status, 503);
    request(tracing);
    while ((await tracing.store?.get("/services"))?.status !== 200) await sleep(5);
    await tracing.shutdown(10_000);
    assert.equal(tracing.counters().delivered, 2);
    const ports = zipkin.received.flatMap(({ spans }) => spans.map(({ localEndpoint }) => localEndpoint.port));
    assert.deepEqual(ports, [8081, 8081], "the new thread knows where the service listens");
    assertBalanced(tracing);
  });

  it("10. ends and restarts a thread that hangs, and counts what it held", async () => {
    const zipkin = await harness.collector(202);
    process.env.VITRINE_TEST_HANG = "1";
    const hang = `setTimeout(() => {
      parentPort.postMessage({ type: "log", level: "info", message: "stuck" });
      for (;;);
    }, 300)`;
    const gpuModule = `data:text/javascript,import { parentPort } from "node:worker_threads";
      export async function openGpuSampler() { if (process.env.VITRINE_TEST_HANG) ${hang} }`;
    const deliveryLimits = { ...QUICK, batchMs: NEVER_MS };
    const tracing = harness.start(zipkin.endpoint, { gpuModule, heartbeatMs: 100, deliveryLimits });
    request(tracing);
    assert.equal((await tracing.store?.get("/services"))?.status, 200);
    await until(() => harness.logs.includes("stuck"));
    delete process.env.VITRINE_TEST_HANG;
    const unanswered = tracing.store?.get("/services");
    request(tracing);
    assert.equal((await unanswered)?.status, 503);
    await until(() => harness.logs.some((line) => line.includes("The export thread stopped (it hung)")));
    assert.equal(tracing.counters().dropped.thread_lost, 2, "held when it hung");
    while ((await tracing.store?.get("/services"))?.status !== 200) await sleep(5);
    await tracing.shutdown(10_000);
    assert.equal(tracing.counters().delivered, 2, "in the ring when it hung");
    assertBalanced(tracing);
  });
});
