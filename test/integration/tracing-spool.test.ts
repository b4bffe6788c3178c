/** Spans that outlive an outage and a restart, with the real thread, disk and sockets. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { request, TracingHarness, until } from "./tracing-harness.js";

describe("the trace spool", function () {
  this.timeout(30_000);
  const harness = new TracingHarness();
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "vitrine-spool-"));
  });

  afterEach(async () => {
    await harness.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const start = (endpoint: string, internals = {}) =>
    harness.start(undefined, internals, {
      destinations: [{ kind: "zipkin", endpoint, spool: { directory, bytes: 1e6 } }],
    });

  it("brings every span of an outage to the collector of the next start, exactly once", async () => {
    const nobody = start("http://127.0.0.1:1/api/v2/spans");
    const traces: string[] = [];
    for (let count = 1; count <= 5; count++) {
      traces.push(request(nobody));
      await until(() => nobody.counters().spooled === 2 * count);
    }
    // What has not been tried when the process ends waits as well.
    traces.push(request(nobody));
    await nobody.shutdown(10_000);
    const { ended, spooled, delivered, queued, dropped } = nobody.counters();
    assert.deepEqual([ended, spooled, delivered, queued], [12, 12, 0, 0]);
    assert.deepEqual(
      Object.values(dropped).filter((count) => count > 0),
      [],
    );

    const zipkin = await harness.collector(202);
    const next = start(zipkin.endpoint);
    await until(() => next.counters().delivered === 12);
    assert.deepEqual([next.counters().recovered, next.counters().spooled], [12, 0]);
    const ids = zipkin.received.flatMap(({ spans }) => spans.map(({ traceId }) => traceId));
    assert.deepEqual(
      ids,
      traces.flatMap((id) => [id, id]),
    );
    assert.equal(zipkin.mostOpen, 1);
    await until(() => readdirSync(directory).join() === "lock");
    await next.shutdown(10_000);
    assert.deepEqual(readdirSync(directory), []);
  });

  it("keeps what a collector that hangs was sent, and what came behind, when time for shutting down is short", async () => {
    const hung = await harness.collector("hang");
    // The thread hears of its end after a second: what it has left is counted from when it was told.
    const gpuModule = "data:text/javascript,const end = Date.now() + 1000; while (Date.now() < end);";
    const tracing = start(hung.endpoint, { gpuModule });
    for (let count = 0; count < 600; count++) request(tracing);
    await tracing.shutdown(4_000);
    const { spooled, dropped } = tracing.counters();
    assert.deepEqual([spooled, dropped.shutdown], [1_200, 0]);
  });

  it("is one process's alone: a second one is told so, and the first goes on", async () => {
    const zipkin = await harness.collector(202);
    const first = start(zipkin.endpoint);
    assert.throws(() => start(zipkin.endpoint), { code: "config_invalid", message: /is in use by process \d+; give/ });
    request(first);
    await until(() => first.counters().delivered === 2);
    await first.shutdown(10_000);
    await start(zipkin.endpoint).shutdown(0);
  });

  it("is given up where another destination's files keep the service from starting", () => {
    const endpoint = "https://127.0.0.1:1/api/v2/spans";
    const spool = { directory, bytes: 1e6 };
    const bad = { kind: "zipkin", endpoint, tls: { ca: join(directory, "none.pem") } } as const;
    assert.throws(() => harness.start(undefined, {}, { destinations: [{ kind: "zipkin", endpoint, spool }, bad] }));
    assert.deepEqual(readdirSync(directory), []);
  });

  it("refuses to start where it cannot write", () => {
    const endpoint = "http://127.0.0.1:1/api/v2/spans";
    const spool = { directory: join(process.execPath, "below"), bytes: 1e6 };
    assert.throws(() => harness.start(undefined, {}, { destinations: [{ kind: "zipkin", endpoint, spool }] }), {
      code: "config_invalid",
      message: /^--trace-spool: .*below cannot be written to/,
    });
  });
});
