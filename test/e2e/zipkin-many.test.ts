/** What a real Zipkin shows of many requests, and what it must never show. */
import assert from "node:assert/strict";
import { coverage } from "../support/spans.js";
import { MARKER, TracedService } from "../support/traced-service.js";
import { Caller } from "../support/zipkin-client.js";

type Streamed = Awaited<ReturnType<TracedService["stream"]>>;

/** Requests with the marker wherever a client may put a text, good ones and bad ones. */
function markedBodies(): readonly string[] {
  const wanted = { model: "tiny", prompt: MARKER, max_tokens: 2 };
  return [
    JSON.stringify({ ...wanted, user: MARKER, stop: [MARKER] }),
    JSON.stringify({ ...wanted, model: MARKER }),
    JSON.stringify({ ...wanted, temperature: MARKER }),
    JSON.stringify({ ...wanted, [MARKER]: MARKER }),
    JSON.stringify({ ...wanted, prompt: MARKER.repeat(2000) }),
    `{"prompt": "${MARKER}`,
  ];
}

function askMarked({ vitrine }: TracedService, body: string): Promise<Response> {
  const headers = { "content-type": "application/json", authorization: `Bearer ${MARKER}`, "user-agent": MARKER };
  return fetch(`${vitrine.url}/v1/completions?key=${MARKER}`, { method: "POST", headers, body });
}

describe("many traces in a real Zipkin", function () {
  this.timeout(120_000);
  let service: TracedService;
  let streamed: readonly Streamed[];
  let hungUp: readonly Streamed[];
  const caller = new Caller();
  let marked: readonly Response[];

  /** Everything is asked first: spans wait for their batch together. */
  before(async function () {
    service = await TracedService.start(this);
    streamed = await Promise.all(Array.from({ length: 32 }, () => service.stream(100)));
    hungUp = await Promise.all(Array.from({ length: 16 }, () => service.stream(1500, 3)));
    await service.ask(caller.b3Multi);
    marked = await Promise.all(markedBodies().map((body) => askMarked(service, body)));
  });

  after(async () => {
    await service?.stop();
  });

  it("has a complete trace for each of 32 concurrent streaming clients", async () => {
    assert.equal(new Set(streamed.map(({ traceId }) => traceId)).size, 32);
    for (const { traceId, finish } of streamed) {
      assert.equal(finish, "length");
      const trace = await service.zipkin.awaitTrace(traceId);
      const generate = trace.named("model.generate");
      for (const name of ["tokenize", "queue", "kv_cache.allocate", "stream"]) {
        assert.equal(trace.named(name).parentId, generate.id);
      }
      for (const phase of ["prefill", "decode"]) {
        assert.equal(trace.named("inference.forward", { "ai.phase": phase }).parentId, generate.id);
      }
      assert.ok(coverage(trace.server, trace.childrenOf(trace.server)) >= 0.99, `${trace}`);
    }
  });

  it("traces 16 clients that hang up mid-stream as cancelled", async () => {
    assert.equal(new Set(hungUp.map(({ traceId }) => traceId)).size, 16);
    for (const { traceId } of hungUp) {
      const trace = await service.zipkin.awaitTrace(traceId);
      const { tags } = trace.named("model.generate");
      assert.equal(tags?.["ai.outcome"], "cancelled", `${trace}`);
      assert.equal(tags?.["ai.cancel.cause"], "client_gone");
      assert.ok(Number(tags?.["ai.response.length"]) < 100, `${trace}`);
    }
  });

  it("shows who calls whom", async () => {
    await service.zipkin.report([caller.span()]);
    await service.zipkin.awaitTrace(caller.traceId);
    const links = await service.zipkin.dependencies();
    assert.ok(
      links.some(({ parent, child }) => parent === "caller" && child === "vitrine"),
      JSON.stringify(links),
    );
  });

  it("has nothing of any prompt, key or caller in a span, a log line or a metric", async () => {
    assert.deepEqual(
      marked.map(({ status }) => status),
      [200, 404, 400, 200, 400, 400],
    );
    for (const response of marked) {
      assert.ok(!(await response.text()).includes(MARKER), "an answer repeats what it was sent");
      await service.zipkin.awaitTrace(response.headers.get("x-b3-traceid") ?? "");
    }

    const traces = await service.zipkin.traces({ serviceName: "vitrine", limit: "1000" });
    assert.ok(traces.length > marked.length);
    const metrics = await (await fetch(`${service.vitrine.url}/metrics`)).text();
    assert.match(metrics, /vitrine_spans_delivered_total [1-9]/);
    assert.ok(service.vitrine.output.length > marked.length, "there are log lines to look at");
    for (const text of [JSON.stringify(traces.map(({ spans }) => spans)), metrics, service.vitrine.output.join("\n")]) {
      assert.ok(!text.toLowerCase().includes(MARKER.toLowerCase()));
    }
  });
});
