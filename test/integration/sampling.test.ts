import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monotonicMicros } from "../../src/protocol.js";
import { apiKeyHash } from "../../src/tracing/context/api-key.js";
import type { ZipkinSpan } from "../../src/tracing/export/zipkin-span.js";
import type { Tracing } from "../../src/tracing/tracing.js";
import { VitrineProcess } from "../support/vitrine-process.js";
import { assertBalanced, request, TracingHarness } from "./tracing-harness.js";

const TAIL = { failed: true, slowTotalMs: 500, longestMs: 60_000 };

/** Two spans of a request that failed, or took long. */
function bad(tracing: Tracing, status: number, ms: number): string {
  const start = monotonicMicros() - ms * 1e3;
  const trace = tracing.startRequest({ method: "POST", path: "/v1/completions", headers: {}, start, remote: {} });
  trace.tokenized(start + 100, start + 300, 5);
  trace.finish({ status, at: start + ms * 1e3 });
  return trace.traceId;
}

describe("tail sampling through the export thread", () => {
  const harness = new TracingHarness();
  afterEach(() => harness.stop());

  it("delivers what failed or was slow, whole, and accounts for the rest", async () => {
    const zipkin = await harness.collector(202);
    const tracing = harness.start(zipkin.endpoint, {}, { sampleRate: 0, tail: TAIL });
    for (let count = 0; count < 50; count++) request(tracing);
    const failed = bad(tracing, 500, 1);
    const slow = bad(tracing, 200, 501);
    const chosen = request(tracing, { b3: "1" });
    await tracing.shutdown(10_000);
    const spans = zipkin.received.flatMap((post) => post.spans);
    const reasons = (id: string) =>
      spans.filter(({ traceId }) => traceId === id).map(({ tags }) => tags?.["sampling.reason"]);
    assert.deepEqual(reasons(failed), [undefined, "error"]);
    assert.deepEqual(reasons(slow), [undefined, "slow_total"]);
    assert.deepEqual(reasons(chosen), [undefined, undefined]);
    const { ended, delivered, sampledOut, queued } = tracing.counters();
    assert.deepEqual(
      { ended, delivered, sampledOut, queued },
      { ended: 106, delivered: 6, sampledOut: 100, queued: 0 },
    );
    assertBalanced(tracing);
  });

  it("records nothing where no ending would keep a trace", async () => {
    const tracing = harness.start(undefined, {}, { sampleRate: 0, tail: { failed: false, longestMs: 60_000 } });
    bad(tracing, 500, 1);
    assert.equal(tracing.counters().ended, 0);
  });

  it("counts what it holds as queued, and as dropped when it ends", async () => {
    const tracing = harness.start(undefined, {}, { sampleRate: 0, tail: TAIL });
    const start = monotonicMicros();
    const trace = tracing.startRequest({ method: "POST", path: "/", headers: {}, start, remote: {} });
    trace.tokenized(start, start, 5);
    await tracing.store?.get("/services");
    assert.equal(tracing.counters().queued, 1);
    await tracing.shutdown(1_000);
    assert.equal(tracing.counters().dropped.shutdown, 1);
    assertBalanced(tracing);
  });
});

describe("tail sampling of a running service", () => {
  it("leads from a histogram to the trace of a request that was not sampled, but slow", async function () {
    this.timeout(90_000);
    // No request is faster than that.
    const vitrine = await VitrineProcess.start({ flags: ["--sample-rate", "0", "--slow-ttft", "0.001ms"] });
    try {
      const response = await fetch(`${vitrine.url}/v1/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "tiny", prompt: "Once", max_tokens: 2 }),
      });
      await response.text();
      assert.equal(response.headers.get("x-b3-sampled"), "0");
      const accept = { headers: { accept: "application/openmetrics-text" } };
      const metrics = await (await fetch(`${vitrine.url}/metrics`, accept)).text();
      const traceId = /time_to_first_token_seconds_bucket.* # \{trace_id="(\w+)"/.exec(metrics)?.[1];
      assert.equal(traceId, response.headers.get("x-b3-traceid"));
      const read = async (): Promise<ZipkinSpan[]> => {
        const answer = await fetch(`${vitrine.url}/zipkin/api/v2/trace/${traceId}`);
        return answer.status === 200 ? ((await answer.json()) as ZipkinSpan[]) : [];
      };
      // Its last byte may be here before the server knows it.
      await vitrine.until("the trace is kept", async () => (await read()).some(({ kind }) => kind === "SERVER"));
      const spans = await read();
      assert.equal(spans.find(({ kind }) => kind === "SERVER")?.tags?.["sampling.reason"], "slow_ttft");
      assert.ok(
        spans.some(({ name }) => name === "tokenize"),
        "what ended before the first token is there",
      );
      const { tracing } = (await (await fetch(`${vitrine.url}/health`)).json()) as { tracing: Record<string, number> };
      assert.deepEqual([tracing.delivered, tracing.sampled_out, tracing.queued], [tracing.ended, 0, 0]);
    } finally {
      await vitrine.stop();
    }
  });
});

describe("sampling of a running service", () => {
  const KEY = "sk-premium-0123456789";
  let directory: string;
  let rules: string;
  let vitrine: VitrineProcess;
  let admin: string;

  before(async function () {
    this.timeout(90_000);
    directory = mkdtempSync(join(tmpdir(), "vitrine-sampling-"));
    rules = join(directory, "rules.json");
    writeFileSync(rules, JSON.stringify({ rules: [{ api_key_sha256: apiKeyHash({ "x-api-key": KEY }), rate: 1 }] }));
    const flags = ["--sample-rate", "0", "--sampling-rules", rules, "--admin-port", "0", "--log-format", "ecs"];
    vitrine = await VitrineProcess.start({ flags });
    admin = String(logged((line) => line.message === "admin endpoint listens")?.url);
  });

  after(async () => {
    await vitrine.stop();
    rmSync(directory, { recursive: true });
  });

  function logged(meets: (line: Record<string, unknown>) => boolean): Record<string, unknown> | undefined {
    const lines = vitrine.output
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    return lines.find(meets);
  }

  async function ask(fields: object = {}): Promise<{ readonly traceId: string; readonly sampled: boolean }> {
    const response = await fetch(`${vitrine.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-api-key": KEY },
      body: JSON.stringify({ model: "tiny", prompt: "Once", max_tokens: 2, ...fields }),
    });
    await response.text();
    return {
      traceId: response.headers.get("x-b3-traceid") ?? "",
      sampled: response.headers.get("x-b3-sampled") === "1",
    };
  }

  const put = (body: string): Promise<Response> =>
    fetch(`${admin}/sampling`, { method: "PUT", headers: { "content-type": "application/json" }, body });

  it("goes by the file's rules, and by what the file says at SIGHUP", async () => {
    assert.equal((await ask()).sampled, true);
    writeFileSync(rules, JSON.stringify({ rules: [{ route: "/v1/chat/completions", rate: 1 }] }));
    vitrine.signal("SIGHUP");
    await vitrine.until(
      "the rules are read",
      () => logged((line) => line.message === "sampling rules read") !== undefined,
    );
    assert.equal((await ask()).sampled, false);
    writeFileSync(rules, '{"rules": [{"rate": 5}]}');
    vitrine.signal("SIGHUP");
    const told = (): unknown => logged((line) => line["log.level"] === "error")?.message;
    await vitrine.until("the mistake is told", () => told() !== undefined);
    assert.match(
      String(told()),
      /rules\.json: rules\[0\]\.rate: expected a share from 0 to 1\. The rules that held before still hold\.$/,
    );
    const held = (await (await fetch(`${admin}/sampling`)).json()) as unknown;
    assert.deepEqual(held, { rate: 0, limit: null, rules: [{ route: "/v1/chat/completions", rate: 1 }] });
  });

  it("is read and changed at the admin port, which keeps what holds when asked for nonsense", async () => {
    const changed = await put('{"rate": 1}');
    assert.deepEqual([changed.status, await changed.json()], [200, { rate: 1, limit: null, rules: [] }]);
    const { traceId, sampled } = await ask();
    assert.equal(sampled, true);
    assert.equal((await fetch(`${vitrine.url}/zipkin/api/v2/trace/${traceId}`)).status, 200);
    const refused = await put('{"rate": "all"}');
    const { error } = (await refused.json()) as { error: { message: string } };
    assert.deepEqual([refused.status, error.message], [400, "body: rate: expected a share from 0 to 1."]);
    assert.equal((await ask()).sampled, true);
    assert.equal((await fetch(`${vitrine.url}/sampling`)).status, 404, "not where everybody can reach it");
  });

  it("names the trace in log lines by ECS's names", async () => {
    await put('{"rate": 0}');
    const { traceId, sampled } = await ask();
    assert.equal(sampled, false);
    const line = (): Record<string, unknown> | undefined => logged((one) => one["trace.id"] === traceId);
    await vitrine.until("the request is logged", () => line() !== undefined);
    assert.deepEqual([line()?.trace_flags, line()?.["log.level"], line()?.message], ["00", "info", "request"]);
    assert.match(String(line()?.["span.id"]), /^[0-9a-f]{16}$/);
    assert.match(String(line()?.["@timestamp"]), /^\d{4}-.*Z$/);
  });

  it("samples out what went well, and says so", async () => {
    const before = await sampledOut();
    await put('{"rate": 0}');
    await ask();
    await vitrine.until("the spans are sampled out", async () => (await sampledOut()) > before);
  });

  async function sampledOut(): Promise<number> {
    const health = (await (await fetch(`${vitrine.url}/health`)).json()) as { tracing: { sampled_out: number } };
    return health.tracing.sampled_out;
  }
});
