/** What a real Zipkin shows of a real vitrine, asked by the official OpenAI client. */
import assert from "node:assert/strict";
import type OpenAI from "openai";
import { openaiClient } from "../support/openai-client.js";
import { requirePart } from "../support/requirements.js";
import { coverage, descendants, isInside, type Trace } from "../support/spans.js";
import { VitrineProcess } from "../support/vitrine-process.js";
import { Caller, ZipkinClient } from "../support/zipkin-client.js";
import { sharedZipkin } from "../support/zipkin-server.js";

/** In what clients send only: whoever finds it anywhere else has found a leak. */
const MARKER = "Zanzibarquux";
/** Repetition is rewarded until nothing else is left, the end neither: these run to their last token. */
const ENDLESS = { model: "tiny", temperature: 0, presence_penalty: -2, frequency_penalty: -2 } as const;

describe("traces in a real Zipkin", function () {
  this.timeout(120_000);
  let zipkin: ZipkinClient;
  let vitrine: VitrineProcess;
  let openai: OpenAI;

  before(async function () {
    // The first time it is a download of 130 MB.
    this.timeout(600_000);
    const start = await sharedZipkin();
    requirePart(this, {
      name: "a real Zipkin server",
      available: start.kind === "running",
      why: start.kind === "running" ? "" : start.why,
      mandatoryInCi: true,
    });
    if (start.kind !== "running") return;
    zipkin = new ZipkinClient(start.server.url);
    vitrine = await VitrineProcess.start({ flags: ["--zipkin-endpoint", start.server.url] });
    openai = openaiClient(vitrine.url);
    // The first request pays for lazy loading everywhere.
    await openai.completions.create({ model: "tiny", prompt: "Once", max_tokens: 8 });
  });

  after(async () => {
    await vitrine?.stop();
  });

  /** Asks with the headers and returns the trace id that the response names. */
  async function ask(headers: Record<string, string>, maxTokens = 4): Promise<string> {
    const body = { model: "tiny", prompt: `${MARKER} once upon a time`, max_tokens: maxTokens };
    const { response } = await openai.completions.create(body, { headers }).withResponse();
    return response.headers.get("x-b3-traceid") ?? "";
  }

  /** A streaming request's trace id and finish reason; it hangs up after `enough` chunks. */
  async function stream(maxTokens: number, enough = Number.POSITIVE_INFINITY) {
    const body = { ...ENDLESS, prompt: "Once upon a time", max_tokens: maxTokens, stream: true } as const;
    const { data, response } = await openai.completions.create(body).withResponse();
    let chunks = 0;
    let finish: string | undefined;
    for await (const chunk of data) {
      finish = chunk.choices[0]?.finish_reason ?? finish;
      // Leaving the loop closes the connection.
      if (++chunks >= enough) break;
    }
    return { traceId: response.headers.get("x-b3-traceid") ?? "", finish };
  }

  describe("one chat request", () => {
    let caller: Caller;
    let trace: Trace;

    before(async () => {
      caller = new Caller();
      const messages = [{ role: "user", content: `Tell me a story about ${MARKER}.` }] as const;
      const { data, response } = await openai.chat.completions
        .create(
          {
            model: "tiny",
            messages: [...messages],
            stream: true,
            temperature: 0,
            top_p: 0.9,
            seed: 7,
            max_tokens: 200,
          },
          { headers: caller.b3Multi },
        )
        .withResponse();
      for await (const _ of data);
      await zipkin.report([caller.span()]);
      assert.equal(response.headers.get("x-b3-traceid"), caller.traceId);
      trace = await zipkin.awaitTrace(caller.traceId);
    });

    it("has a SERVER span under the caller's", () => {
      const { server } = trace;
      assert.equal(server.parentId, caller.spanId);
      assert.equal(server.name, "post /v1/chat/completions");
      assert.equal(server.localEndpoint?.serviceName, "vitrine");
      assert.equal(server.tags?.["http.method"], "POST");
      assert.equal(server.tags?.["http.path"], "/v1/chat/completions");
      assert.equal(server.tags?.["http.status_code"], "200");
      assert.equal(server.tags?.error, undefined);
    });

    it("has the request's steps under model.generate", () => {
      const generate = trace.named("model.generate");
      assert.equal(generate.parentId, trace.server.id);
      const steps = trace.childrenOf(generate).map(({ name, tags }) => `${name} ${tags?.["ai.phase"] ?? ""}`.trim());
      assert.deepEqual(steps.sort(), [
        "inference.forward decode",
        "inference.forward prefill",
        "kv_cache.allocate",
        "queue",
        "stream",
        "tokenize",
      ]);
      assert.equal(trace.spans.length, 1 + 2 + steps.length, `no other spans:\n${trace}`);
    });

    it("tags what was asked and what it took", () => {
      const { tags = {}, annotations = [] } = trace.named("model.generate");
      assert.equal(tags["ai.model.name"], "tiny");
      assert.equal(tags["ai.task.type"], "text-generation");
      assert.equal(tags["ai.temperature"], "0");
      assert.equal(tags["ai.top_p"], "0.9");
      assert.equal(tags["ai.seed"], "7");
      assert.equal(tags["ai.max_tokens"], "200");
      assert.equal(tags["gen_ai.request.model"], "tiny");
      assert.equal(tags["gen_ai.operation.name"], "chat");
      assert.ok(Number(tags["ai.prompt.length"]) > 4);
      assert.ok(Number(tags["ai.response.length"]) > 1);
      assert.ok(Number(tags["ai.ttft_ms"]) > 0);
      assert.ok(Number(tags["ai.tokens_per_second"]) > 0);
      assert.ok(Number(tags["ai.cost.device_seconds"]) > 0);
      assert.ok(annotations.some(({ value }) => value === "first_token"));

      const prompt = tags["ai.prompt.length"] ?? "";
      assert.equal(trace.named("tokenize").tags?.["ai.prompt.length"], prompt);
      assert.equal(trace.named("queue").tags?.["ai.queue.depth"], "0");
      assert.equal(trace.named("inference.forward", { "ai.phase": "prefill" }).tags?.["ai.tokens"], prompt);
      const allocation = trace.named("kv_cache.allocate").tags ?? {};
      assert.ok(Number(allocation["ai.kv.tokens"]) >= Number(prompt));
      assert.ok(Number(allocation["ai.kv.bytes"]) > 0);
      assert.equal(allocation["ai.kv.reused_tokens"], "0");
      const decode = trace.named("inference.forward", { "ai.phase": "decode" }).tags ?? {};
      assert.equal(decode["ai.tokens"], decode["ai.steps"]);
    });

    it("has every span inside its parent", () => {
      for (const span of descendants(trace, trace.server)) {
        const parent = trace.only("its parent", ({ id }) => id === span.parentId);
        assert.ok(isInside(span, parent), `${span.name} sticks out of ${parent.name}:\n${trace}`);
      }
    });

    it("begins within the caller's span", () => {
      const { timestamp, duration } = trace.only("the caller's", ({ id }) => id === caller.spanId);
      assert.ok(trace.server.timestamp >= timestamp && trace.server.timestamp <= timestamp + duration, `${trace}`);
    });
  });

  it("has durations that add up, in requests of 300 tokens", async () => {
    const covered: { server: number; generate: number; trace: string }[] = [];
    const traceIds: string[] = [];
    for (let i = 0; i < 3; i++) traceIds.push((await stream(300)).traceId);
    for (const traceId of traceIds) {
      const trace = await zipkin.awaitTrace(traceId);
      const { server } = trace;
      const generate = trace.named("model.generate");
      assert.equal(generate.tags?.["ai.response.length"], "300");
      // The first token comes from prefill, and the last one is never fed.
      assert.equal(trace.named("inference.forward", { "ai.phase": "decode" }).tags?.["ai.steps"], "299");
      covered.push({
        server: coverage(server, trace.childrenOf(server)),
        generate: coverage(generate, trace.childrenOf(generate)),
        trace: String(trace),
      });
    }
    // A busy machine may take a process off its core between two spans, but hardly three times.
    assert.ok(
      covered.some(({ server, generate }) => server >= 0.99 && generate >= 0.99),
      `gaps in each trace:\n${covered.map(({ trace }) => trace).join("\n\n")}`,
    );
  });

  describe("trace context", () => {
    it("joins the caller's trace from B3 in one header, from W3C, and with 64-bit ids", async () => {
      const [single, w3c, short] = [new Caller(), new Caller(), new Caller(64)];
      const asked = [ask(single.b3Single), ask(w3c.w3c), ask(short.b3Multi)];
      assert.deepEqual(await Promise.all(asked), [single.traceId, w3c.traceId, short.traceId]);
      for (const caller of [single, w3c]) {
        const { server } = await zipkin.awaitTrace(caller.traceId);
        assert.equal(server.parentId, caller.spanId);
      }
      const found = await zipkin.awaitTrace(short.traceId);
      assert.equal(found.server.parentId, short.spanId);
      await zipkin.report([short.span()]);
      const joined = await zipkin.awaitTrace(short.traceId, ({ spans }) => spans.some(({ kind }) => kind === "CLIENT"));
      assert.equal(joined.server.parentId, short.spanId);
    });

    it("starts a trace of its own without a caller, and names it", async () => {
      const traceId = await ask({});
      assert.match(traceId, /^[0-9a-f]{32}$/);
      const { server } = await zipkin.awaitTrace(traceId);
      assert.equal(server.parentId, undefined);
    });

    it("records nothing the caller decided against", async () => {
      const unsampled = new Caller();
      await ask({ b3: "0" });
      await ask({ ...unsampled.b3Multi, "X-B3-Sampled": "0" });
      // Spans leave in order: what comes after is there, so what came before would be.
      const before = await zipkin.traces({ serviceName: "vitrine", limit: "1000" });
      await zipkin.awaitTrace(await ask({}));
      const after = await zipkin.traces({ serviceName: "vitrine", limit: "1000" });
      assert.deepEqual((await zipkin.trace(unsampled.traceId)).spans, []);
      const known = new Set(before.map(({ spans }) => spans[0]?.traceId));
      assert.equal(after.filter(({ spans }) => !known.has(spans[0]?.traceId)).length, 1);
    });
  });

  describe("a start", () => {
    it("has model.load as a trace of its own", async () => {
      const [trace] = await zipkin.awaitTraces({ serviceName: "vitrine", spanName: "model.load" }, 1);
      assert.ok(trace);
      const load = trace.named("model.load");
      assert.equal(load.parentId, undefined);
      assert.equal(load.tags?.["ai.model.name"], "tiny");
      const phases = trace.childrenOf(load);
      assert.deepEqual(phases.map(({ name }) => name).sort(), ["session.create", "tokenizer.load", "warmup"]);
      for (const phase of phases) assert.ok(isInside(phase, load), `${phase.name} sticks out:\n${trace}`);
    });
  });

  describe("many clients", () => {
    it("has a complete trace for each of 32 concurrent streaming clients", async () => {
      const answers = await Promise.all(Array.from({ length: 32 }, () => stream(100)));
      for (const { traceId, finish } of answers) {
        assert.equal(finish, "length");
        const trace = await zipkin.awaitTrace(traceId);
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
      const answers = await Promise.all(Array.from({ length: 16 }, () => stream(1500, 3)));
      for (const { traceId } of answers) {
        const trace = await zipkin.awaitTrace(traceId);
        const { tags } = trace.named("model.generate");
        assert.equal(tags?.["ai.outcome"], "cancelled", `${trace}`);
        assert.equal(tags?.["ai.cancel.cause"], "client_gone");
        assert.ok(Number(tags?.["ai.response.length"]) < 100, `${trace}`);
      }
    });
  });

  // Last, when all the traces are there.
  describe("all traces together", () => {
    it("shows who calls whom", async () => {
      const caller = new Caller();
      await ask(caller.b3Multi);
      await zipkin.report([caller.span()]);
      await zipkin.awaitTrace(caller.traceId);
      const links = await zipkin.dependencies();
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
      const url = `${vitrine.url}/v1/completions?key=${MARKER}`;
      const responses = await Promise.all(bodies.map((body) => fetch(url, { method: "POST", headers, body })));
      assert.deepEqual(
        responses.map(({ status }) => status),
        [200, 404, 400, 200, 400, 400],
      );
      for (const response of responses) {
        assert.ok(!(await response.text()).includes(MARKER), "an answer repeats what it was sent");
        await zipkin.awaitTrace(response.headers.get("x-b3-traceid") ?? "");
      }

      const traces = await zipkin.traces({ serviceName: "vitrine", limit: "1000" });
      assert.ok(traces.length > 30);
      const metrics = await (await fetch(`${vitrine.url}/metrics`)).text();
      assert.match(metrics, /vitrine_spans_delivered_total [1-9]/);
      assert.ok(vitrine.output.length > 40, "there are log lines to look at");
      for (const text of [JSON.stringify(traces.map(({ spans }) => spans)), metrics, vitrine.output.join("\n")]) {
        assert.ok(!text.toLowerCase().includes(MARKER.toLowerCase()));
      }
    });
  });
});
