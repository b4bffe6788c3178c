/** What a real Zipkin shows of a request to a real vitrine, asked by the official OpenAI client. */
import assert from "node:assert/strict";
import { coverage, descendants, isInside, type Trace } from "../support/spans.js";
import { MARKER, TracedService } from "../support/traced-service.js";
import { runVitrine } from "../support/vitrine-process.js";
import { Caller } from "../support/zipkin-client.js";

describe("a request's trace in a real Zipkin", function () {
  this.timeout(120_000);
  let service: TracedService;
  let long: readonly string[];
  const [single, w3c, short] = [new Caller(), new Caller(), new Caller(64)];
  let joined: readonly string[];
  let own: string;

  /** What several tests ask is asked first: spans wait for their batch together. */
  before(async function () {
    service = await TracedService.start(this);
    const traceIds: string[] = [];
    for (let i = 0; i < 3; i++) traceIds.push((await service.stream(300)).traceId);
    long = traceIds;
    joined = await Promise.all([single.b3Single, w3c.w3c, short.b3Multi].map((headers) => service.ask(headers)));
    own = await service.ask({});
  });

  after(async () => {
    await service?.stop();
  });

  describe("one chat request", () => {
    let caller: Caller;
    let trace: Trace;

    before(async () => {
      caller = new Caller();
      const messages = [{ role: "user", content: `Tell me a story about ${MARKER}.` }] as const;
      const { data, response } = await service.openai.chat.completions
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
      await service.zipkin.report([caller.span()]);
      assert.equal(response.headers.get("x-b3-traceid"), caller.traceId);
      trace = await service.zipkin.awaitTrace(caller.traceId);
    });

    it("has a SERVER span under the caller's", () => {
      const { server } = trace;
      assert.equal(server.parentId, caller.spanId);
      assert.equal(server.name, "post /v1/chat/completions");
      assert.equal(server.localEndpoint?.serviceName, "vitrine");
      assert.equal(server.localEndpoint?.port, Number(new URL(service.vitrine.url).port));
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
      const allocation = trace.named("kv_cache.allocate").tags ?? {};
      assert.ok(Number(allocation["ai.kv.tokens"]) >= Number(prompt));
      assert.ok(Number(allocation["ai.kv.bytes"]) > 0);
      const { tags: prefill = {} } = trace.named("inference.forward", { "ai.phase": "prefill" });
      const reused = Number(allocation["ai.kv.reused_tokens"]);
      assert.equal(Number(prefill["ai.tokens"]) + reused, Number(prompt), "what another request left is not fed again");
      const decode = trace.named("inference.forward", { "ai.phase": "decode" }).tags ?? {};
      // A step feeds one token, and guesses at the next ones where it makes any.
      assert.ok(Number(decode["ai.tokens"]) >= Number(decode["ai.steps"]));
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
    for (const traceId of long) {
      const trace = await service.zipkin.awaitTrace(traceId);
      const { server } = trace;
      const generate = trace.named("model.generate");
      assert.equal(generate.tags?.["ai.response.length"], "300");
      // The first token comes from prefill, and the last one is never fed; of the others, guesses spare steps.
      const { tags: decode = {} } = trace.named("inference.forward", { "ai.phase": "decode" });
      assert.ok(Number(decode["ai.steps"]) > 0 && Number(decode["ai.steps"]) <= 299, `${trace}`);
      assert.ok(Number(decode["ai.tokens"]) >= 299, `${trace}`);
      const shares = [server, generate].map((span) => coverage(span, trace.childrenOf(span)));
      assert.ok(Math.min(...shares) >= 0.99, `covered ${shares.join(" and ")}:\n${trace}`);
    }
  });

  describe("trace context", () => {
    it("joins the caller's trace from B3 in one header, from W3C, and with 64-bit ids", async () => {
      assert.deepEqual(joined, [single.traceId, w3c.traceId, short.traceId]);
      for (const caller of [single, w3c]) {
        const { server } = await service.zipkin.awaitTrace(caller.traceId);
        assert.equal(server.parentId, caller.spanId);
      }
      const found = await service.zipkin.awaitTrace(short.traceId);
      assert.equal(found.server.parentId, short.spanId);
      await service.zipkin.report([short.span()]);
      const both = await service.zipkin.awaitTrace(short.traceId, ({ spans }) =>
        spans.some(({ kind }) => kind === "CLIENT"),
      );
      assert.equal(both.server.parentId, short.spanId);
    });

    it("starts a trace of its own without a caller, and names it", async () => {
      assert.match(own, /^[0-9a-f]{32}$/);
      const { server } = await service.zipkin.awaitTrace(own);
      assert.equal(server.parentId, undefined);
    });

    it("records nothing the caller decided against", async () => {
      const unsampled = new Caller();
      // All that was asked before has come.
      await service.zipkin.awaitTrace(own);
      await service.ask({ b3: "0" });
      await service.ask({ ...unsampled.b3Multi, "X-B3-Sampled": "0" });
      // Spans leave in order: what comes after is there, so what came before would be.
      const before = await service.zipkin.traces({ serviceName: "vitrine", limit: "1000" });
      await service.zipkin.awaitTrace(await service.ask({}));
      const after = await service.zipkin.traces({ serviceName: "vitrine", limit: "1000" });
      assert.deepEqual((await service.zipkin.trace(unsampled.traceId)).spans, []);
      const known = new Set(before.map(({ spans }) => spans[0]?.traceId));
      assert.equal(after.filter(({ spans }) => !known.has(spans[0]?.traceId)).length, 1);
    });
  });

  describe("the doctor", () => {
    it("sends a span and reads it back", async () => {
      const flags = ["--port", "0", "--device", "cpu", "--zipkin-endpoint", service.zipkin.base];
      const { code, stdout } = await runVitrine(["doctor", ...flags, "--service-name", "patient"]);
      assert.equal(code, 0, stdout);
      const traceId = /✓ and shows it as trace ([0-9a-f]{32})/.exec(stdout)?.[1] ?? assert.fail(stdout);
      const [span, ...others] = (await service.zipkin.trace(traceId)).spans;
      assert.equal(others.length, 0);
      assert.equal(span?.name, "vitrine doctor");
      assert.equal(span.localEndpoint?.serviceName, "patient");
    });
  });

  describe("a start", () => {
    it("has model.load as a trace of its own", async () => {
      const [trace] = await service.zipkin.awaitTraces({ serviceName: "vitrine", spanName: "model.load" }, 1);
      assert.ok(trace);
      const load = trace.named("model.load");
      assert.equal(load.parentId, undefined);
      assert.equal(load.tags?.["ai.model.name"], "tiny");
      const phases = trace.childrenOf(load);
      assert.deepEqual(phases.map(({ name }) => name).sort(), ["session.create", "tokenizer.load", "warmup"]);
      for (const phase of phases) assert.ok(isInside(phase, load), `${phase.name} sticks out:\n${trace}`);
    });
  });
});
