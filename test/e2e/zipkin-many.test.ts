/** What a real Zipkin shows of many requests, and what it must never show. */
import assert from "node:assert/strict";
import { coverage } from "../support/spans.js";
import { MARKER, TracedService } from "../support/traced-service.js";
import { Caller } from "../support/zipkin-client.js";

describe("many traces in a real Zipkin", function () {
  this.timeout(120_000);
  let service: TracedService;

  before(async function () {
    service = await TracedService.start(this);
  });

  after(async () => {
    await service?.stop();
  });

  it("has a complete trace for each of 32 concurrent streaming clients", async () => {
    const answers = await Promise.all(Array.from({ length: 32 }, () => service.stream(100)));
    for (const { traceId, finish } of answers) {
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
    assert.equal(new Set(answers.map(({ traceId }) => traceId)).size, 32);
  });

  it("traces 16 clients that hang up mid-stream as cancelled", async () => {
    const answers = await Promise.all(Array.from({ length: 16 }, () => service.stream(1500, 3)));
    for (const { traceId } of answers) {
      const trace = await service.zipkin.awaitTrace(traceId);
      const { tags } = trace.named("model.generate");
      assert.equal(tags?.["ai.outcome"], "cancelled", `${trace}`);
      assert.equal(tags?.["ai.cancel.cause"], "client_gone");
      assert.ok(Number(tags?.["ai.response.length"]) < 100, `${trace}`);
    }
  });

  it("shows who calls whom", async () => {
    const caller = new Caller();
    await service.ask(caller.b3Multi);
    await service.zipkin.report([caller.span()]);
    await service.zipkin.awaitTrace(caller.traceId);
    const links = await service.zipkin.dependencies();
    assert.ok(
      links.some(({ parent, child }) => parent === "caller" && child === "vitrine"),
      JSON.stringify(links),
    );
  });

  it("has nothing of any prompt, key or caller in a span, a log line or a metric", async () => {
    const wanted = { model: "tiny", prompt: MARKER, max_tokens: 2 };
    const bodies: readonly string[] = [
      JSON.stringify({ ...wanted, user: MARKER, stop: [MARKER] }),
      JSON.stringify({ ...wanted, model: MARKER }),
      JSON.stringify({ ...wanted, temperature: MARKER }),
      JSON.stringify({ ...wanted, [MARKER]: MARKER }),
      JSON.stringify({ ...wanted, prompt: MARKER.repeat(2000) }),
      `{"prompt": "${MARKER}`,
    ];
    const headers = { "content-type": "application/json", authorization: `Bearer ${MARKER}`, "user-agent": MARKER };
    const url = `${service.vitrine.url}/v1/completions?key=${MARKER}`;
    const responses = await Promise.all(bodies.map((body) => fetch(url, { method: "POST", headers, body })));
    assert.deepEqual(
      responses.map(({ status }) => status),
      [200, 404, 400, 200, 400, 400],
    );
    for (const response of responses) {
      assert.ok(!(await response.text()).includes(MARKER), "an answer repeats what it was sent");
      await service.zipkin.awaitTrace(response.headers.get("x-b3-traceid") ?? "");
    }

    const traces = await service.zipkin.traces({ serviceName: "vitrine", limit: "1000" });
    assert.ok(traces.length > bodies.length);
    const metrics = await (await fetch(`${service.vitrine.url}/metrics`)).text();
    assert.match(metrics, /vitrine_spans_delivered_total [1-9]/);
    assert.ok(service.vitrine.output.length > bodies.length, "there are log lines to look at");
    for (const text of [JSON.stringify(traces.map(({ spans }) => spans)), metrics, service.vitrine.output.join("\n")]) {
      assert.ok(!text.toLowerCase().includes(MARKER.toLowerCase()));
    }
  });
});
