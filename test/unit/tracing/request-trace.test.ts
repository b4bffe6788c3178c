import assert from "node:assert/strict";
import type { WireError } from "../../../src/errors.js";
import type { ForwardStats, Outcome, RequestEvent } from "../../../src/protocol.js";
import type { RequestTrace } from "../../../src/tracing/contract.js";
import type { ZipkinSpan } from "../../../src/tracing/zipkin-span.js";
import { EPOCH, GENERATE, Harness, INCOMING } from "./harness.js";

const id = "request-1";

const ADMITTED: RequestEvent = {
  type: "admitted",
  id,
  queue: { start: 2_000, end: 5_000, depth: 3 },
  allocation: {
    start: 5_000,
    end: 5_100,
    tokens: 28,
    bytes: 28_672,
    reusedTokens: 4,
    evictedTokens: 2,
    poolUtilization: 0.123456,
  },
};

const PREFILL: ForwardStats = {
  phase: "prefill",
  start: 5_100,
  end: 15_000,
  steps: 2,
  tokens: 12,
  meanBatchSize: 1,
  maxStepMs: 6.25,
  deviceSeconds: 0.0099,
};

const DECODE: ForwardStats = {
  phase: "decode",
  start: 15_000,
  end: 35_000,
  steps: 2,
  tokens: 2,
  meanBatchSize: 3.5,
  maxStepMs: 11.5,
  deviceSeconds: 0.005,
};

const token = (at: number): RequestEvent => ({ type: "token", id, token: 7, at });
const prefilled: RequestEvent = { type: "prefilled", id, forward: PREFILL };
const ended = (outcome: Outcome, at = 35_010, decode?: ForwardStats): RequestEvent =>
  decode === undefined ? { type: "ended", id, outcome, at } : { type: "ended", id, outcome, at, decode };

const FINISHED: Outcome = { kind: "finished", reason: "stop" };
const LOST: WireError = { code: "engine_lost", message: "the engine process was killed (SIGKILL)" };

/** A request up to its handing over to the engine. */
function begin(harness: Harness, headers: Record<string, string> = {}): RequestTrace {
  const trace = harness.requests.start({ ...INCOMING, headers });
  trace.generating(500, GENERATE);
  trace.tokenized(600, 1_900, 12);
  return trace;
}

/** A request that ran to its end, streamed. */
function complete(harness: Harness, headers: Record<string, string> = {}, decode = DECODE): RequestTrace {
  const trace = begin(harness, headers);
  for (const event of [ADMITTED, prefilled, token(15_000), token(25_000), token(35_000)]) trace.observe(event);
  trace.observe(ended(FINISHED, 35_010, decode));
  trace.wrote({ name: "stream", start: 15_050, end: 35_500, chunks: 4 });
  trace.finish({ status: 200, at: 36_000 });
  return trace;
}

/** Parents cover children, and every span has a parent or is the server's. */
function checkShape(spans: readonly ZipkinSpan[]): void {
  const byId = new Map(spans.map((span) => [span.id, span]));
  assert.equal(byId.size, spans.length, "a span was recorded twice");
  for (const span of spans) {
    const parent = byId.get(span.parentId ?? "");
    if (parent === undefined) {
      assert.equal(span.kind, "SERVER");
      continue;
    }
    assert.ok(span.timestamp >= parent.timestamp, `${span.name} begins before ${parent.name}`);
    const end = span.timestamp + span.duration;
    assert.ok(end <= parent.timestamp + parent.duration, `${span.name} outlasts ${parent.name}`);
  }
}

const GENERATED = ["  model.generate", "    tokenize"];

describe("request trace", () => {
  it("has the whole tree for a finished request", () => {
    const harness = new Harness();
    complete(harness);
    assert.deepEqual(harness.tree(), [
      "post /v1/chat/completions",
      ...GENERATED,
      "    queue",
      "    kv_cache.allocate",
      "    inference.forward prefill",
      "    inference.forward decode",
      "    stream",
    ]);
    checkShape(harness.spans());
  });

  it("puts every span at its own time, in whole microseconds from one anchor", () => {
    const harness = new Harness();
    complete(harness);
    const times = (name: string, phase?: string) => {
      const { timestamp, duration } = harness.span(name, phase);
      return [timestamp - EPOCH, duration];
    };
    assert.deepEqual(times("post /v1/chat/completions"), [0, 36_000]);
    assert.deepEqual(times("model.generate"), [500, 35_500]);
    assert.deepEqual(times("tokenize"), [600, 1_300]);
    assert.deepEqual(times("queue"), [2_000, 3_000]);
    assert.deepEqual(times("kv_cache.allocate"), [5_000, 100]);
    assert.deepEqual(times("inference.forward", "prefill"), [5_100, 9_900]);
    assert.deepEqual(times("inference.forward", "decode"), [15_000, 20_000]);
    assert.deepEqual(times("stream"), [15_050, 20_450]);
    assert.deepEqual(harness.span("model.generate").annotations, [{ timestamp: EPOCH + 15_000, value: "first_token" }]);
  });

  it("covers at least 99 % of the server span with children", () => {
    const harness = new Harness();
    const trace = harness.requests.start(INCOMING);
    trace.generating(10, GENERATE);
    trace.finish({ status: 200, at: 10_000 });
    const server = harness.span("post /v1/chat/completions");
    assert.ok(harness.span("model.generate").duration >= 0.99 * server.duration);
  });

  it("tags the server span as Zipkin's HTTP instrumentation does", () => {
    const harness = new Harness();
    complete(harness);
    const server = harness.span("post /v1/chat/completions");
    assert.equal(server.kind, "SERVER");
    assert.deepEqual(server.tags, {
      "http.method": "POST",
      "http.path": "/v1/chat/completions",
      "http.status_code": "200",
    });
    assert.deepEqual(server.remoteEndpoint, { ipv4: "10.0.0.9", port: 50_123 });
  });

  it("tags model.generate with what was asked, what came of it and what it cost", () => {
    const harness = new Harness();
    complete(harness);
    assert.deepEqual(harness.span("model.generate").tags, {
      "ai.model.name": "tiny",
      "ai.task.type": "text-generation",
      "ai.max_tokens": "16",
      "ai.temperature": "0",
      "ai.top_p": "0.9",
      "ai.top_k": "50",
      "ai.min_p": "0.05",
      "ai.seed": "42",
      "ai.repetition_penalty": "1.1",
      "ai.presence_penalty": "0.5",
      "ai.frequency_penalty": "0.25",
      "ai.device": "cuda:1",
      "ai.device.reason": "a CUDA device was found",
      user_id_hash: "0123abcd",
      "ai.prompt.length": "12",
      "ai.response.length": "3",
      "ai.outcome": "finished",
      "ai.ttft_ms": "15",
      "ai.tokens_per_second": "100",
      "ai.cost.device_seconds": "0.0149",
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "vitrine",
      "gen_ai.request.model": "tiny",
      "gen_ai.request.max_tokens": "16",
      "gen_ai.request.temperature": "0",
      "gen_ai.request.top_p": "0.9",
      "gen_ai.request.top_k": "50",
      "gen_ai.request.seed": "42",
      "gen_ai.request.presence_penalty": "0.5",
      "gen_ai.request.frequency_penalty": "0.25",
      "gen_ai.request.stream": "true",
      "gen_ai.response.model": "tiny",
      "gen_ai.response.finish_reasons": '["stop"]',
      "gen_ai.response.time_to_first_chunk": "0.015",
      "gen_ai.output.type": "text",
      "gen_ai.usage.input_tokens": "12",
      "gen_ai.usage.output_tokens": "3",
      "gen_ai.latency.time_to_first_token": "0.015",
      "gen_ai.latency.e2e": "0.036",
      "gen_ai.latency.time_in_queue": "0.003",
      "gen_ai.latency.time_in_model_prefill": "0.0099",
      "gen_ai.latency.time_in_model_decode": "0.02",
      "gen_ai.latency.time_in_model_inference": "0.0299",
    });
  });

  it("tags the engine's phases", () => {
    const harness = new Harness();
    complete(harness);
    assert.deepEqual(harness.span("tokenize").tags, { "ai.prompt.length": "12" });
    assert.deepEqual(harness.span("queue").tags, { "ai.queue.depth": "3" });
    assert.deepEqual(harness.span("kv_cache.allocate").tags, {
      "ai.kv.tokens": "28",
      "ai.kv.bytes": "28672",
      "ai.kv.reused_tokens": "4",
      "ai.kv.evicted": "2",
      "ai.kv.pool_utilization": "0.1235",
    });
    assert.deepEqual(harness.span("inference.forward", "prefill").tags, {
      "ai.phase": "prefill",
      "ai.steps": "2",
      "ai.tokens": "12",
      "ai.batch.size": "1",
      "ai.step_ms.max": "6.25",
      "ai.cost.device_seconds": "0.0099",
      "ai.device": "cuda:1",
    });
    assert.equal(harness.span("inference.forward", "decode").tags?.["ai.batch.mean_size"], "3.5");
    assert.deepEqual(harness.span("stream").tags, { "ai.chunks": "4" });
  });

  it("shows each pass under its phase when passes were recorded", () => {
    const harness = new Harness();
    const passes = [
      { start: 15_000, end: 24_000, batchSize: 3 },
      { start: 24_500, end: 35_000, batchSize: 4 },
    ];
    complete(harness, {}, { ...DECODE, passes });
    const steps = harness.spans().filter(({ tags }) => tags?.["ai.step"] !== undefined);
    assert.deepEqual(
      steps.map(({ timestamp, duration, tags }) => [timestamp - EPOCH, duration, tags?.["ai.batch.size"]]),
      [
        [15_000, 9_000, "3"],
        [24_500, 10_500, "4"],
      ],
    );
    const ids = new Set(
      harness
        .spans()
        .filter(({ tags }) => tags?.["ai.steps"] === "2")
        .map(({ id }) => id),
    );
    assert.ok(steps.every(({ parentId }) => ids.has(parentId ?? "")));
    checkShape(harness.spans());
  });

  it("gives no speed for one token, and no decode span without a step", () => {
    const harness = new Harness();
    const trace = begin(harness);
    for (const event of [ADMITTED, prefilled, token(15_000)]) trace.observe(event);
    trace.observe(ended({ kind: "finished", reason: "length" }, 15_010));
    trace.wrote({ name: "detokenize", start: 15_020, end: 15_100, chunks: 1 });
    trace.finish({ status: 200, at: 15_200 });
    const { tags } = harness.span("model.generate");
    assert.equal(tags?.["ai.tokens_per_second"], undefined);
    assert.equal(tags?.["gen_ai.response.finish_reasons"], '["length"]');
    assert.deepEqual(harness.tree().slice(-2), ["    inference.forward prefill", "    detokenize"]);
  });

  it("ends a client's leaving as cancelled, and not as an error", () => {
    const harness = new Harness();
    const trace = begin(harness);
    for (const event of [ADMITTED, prefilled, token(15_000), token(25_000)]) trace.observe(event);
    trace.observe(ended({ kind: "cancelled", cause: "client_gone" }, 26_000, { ...DECODE, end: 25_900 }));
    trace.wrote({ name: "stream", start: 15_050, end: 25_500, chunks: 2 });
    trace.finish({ status: 499, at: 26_100, error: { code: "client_closed", message: "the client left" } });
    assert.ok(harness.tree().every((line) => !line.includes("!")));
    const { tags } = harness.span("model.generate");
    assert.deepEqual([tags?.["ai.outcome"], tags?.["ai.cancel.cause"]], ["cancelled", "client_gone"]);
    assert.equal(tags?.["gen_ai.usage.output_tokens"], "2");
    checkShape(harness.spans());
  });

  it("shows where a client left when it left early", () => {
    const harness = new Harness();
    const trace = begin(harness);
    trace.observe(ADMITTED);
    trace.observe(ended({ kind: "cancelled", cause: "client_gone" }, 9_000));
    trace.finish({ status: 499, at: 9_100, error: { code: "client_closed", message: "the client left" } });
    assert.equal(harness.span("inference.forward", "prefill").timestamp - EPOCH, 5_100);
    assert.equal(harness.span("inference.forward", "prefill").duration, 3_900);
  });

  for (const [cause, code] of [
    ["timeout", "request_timeout"],
    ["drain", "draining"],
  ] as const) {
    it(`ends a ${cause} while waiting as cancelled and as an error`, () => {
      const harness = new Harness();
      const trace = begin(harness);
      trace.observe(ended({ kind: "cancelled", cause }, 8_000));
      trace.finish({ status: 504, at: 8_200, error: { code, message: "told to the client" } });
      const { tags } = harness.span("model.generate");
      assert.deepEqual([tags?.["ai.outcome"], tags?.["ai.cancel.cause"]], ["cancelled", cause]);
      assert.equal(tags?.error, `${code}: told to the client`);
      assert.equal(harness.span("post /v1/chat/completions").tags?.error, `${code}: told to the client`);
      assert.match(harness.span("queue").tags?.error ?? "", new RegExp(`^${code}`));
      assert.deepEqual([harness.span("queue").timestamp - EPOCH, harness.span("queue").duration], [1_900, 6_100]);
      checkShape(harness.spans());
    });
  }

  it("ends what was open when the engine died, at that moment, and says so", () => {
    const lost = "!engine_lost: the engine process was killed (SIGKILL)";
    const failed: Outcome = { kind: "failed", error: LOST };
    const tree = (events: readonly RequestEvent[]): string[] => {
      const harness = new Harness();
      const trace = begin(harness);
      for (const event of [...events, ended(failed, 28_000)]) trace.observe(event);
      trace.finish({ status: 503, at: 28_500, error: LOST });
      checkShape(harness.spans());
      const errors = harness.spans().filter(({ name }) => name === "inference.forward" || name === "queue");
      assert.equal(Math.max(...errors.map(({ timestamp, duration }) => timestamp + duration)) - EPOCH, 28_000);
      assert.equal(harness.span("model.generate").tags?.["ai.outcome"], "failed");
      return harness.tree();
    };
    const head = [`post /v1/chat/completions ${lost}`, `  model.generate ${lost}`, "    tokenize"];
    assert.deepEqual(tree([]), [...head, `    queue ${lost}`]);
    const admitted = [...head, "    queue", "    kv_cache.allocate"];
    assert.deepEqual(tree([ADMITTED]), [...admitted, `    inference.forward prefill ${lost}`]);
    assert.deepEqual(tree([ADMITTED, prefilled, token(15_000)]), [
      ...admitted,
      "    inference.forward prefill",
      `    inference.forward decode ${lost}`,
    ]);
  });

  it("marks a stream that broke after its 200", () => {
    const harness = new Harness();
    const trace = begin(harness);
    for (const event of [ADMITTED, prefilled, token(15_000)]) trace.observe(event);
    trace.observe(ended({ kind: "failed", error: LOST }, 20_000));
    trace.finish({ status: 200, at: 20_100, error: LOST });
    const { tags } = harness.span("post /v1/chat/completions");
    assert.deepEqual([tags?.["http.status_code"], tags?.error?.slice(0, 11)], ["200", "engine_lost"]);
  });

  it("traces a refusal without pretending it waited", () => {
    const harness = new Harness();
    const trace = begin(harness);
    trace.finish({ status: 429, at: 2_000, error: { code: "queue_full", message: "64 requests are waiting" } });
    const error = "!queue_full: 64 requests are waiting";
    assert.deepEqual(harness.tree(), [
      `post /v1/chat/completions ${error}`,
      `  model.generate ${error}`,
      "    tokenize",
    ]);
    assert.equal(harness.span("model.generate").tags?.["ai.outcome"], "refused");
  });

  it("traces bad requests by code alone: their messages quote the caller", () => {
    const harness = new Harness();
    const trace = harness.requests.start(INCOMING);
    const error: WireError = {
      code: "model_not_found",
      message: "The model `my secret` does not exist",
      param: "model",
    };
    trace.finish({ status: 404, at: 300, error });
    assert.deepEqual(harness.tree(), ["post /v1/chat/completions !model_not_found"]);
    assert.equal(harness.span("post /v1/chat/completions").tags?.["http.status_code"], "404");
  });

  it("marks an error status that came without an error", () => {
    const harness = new Harness();
    harness.requests.start(INCOMING).finish({ status: 500, at: 300 });
    assert.deepEqual(harness.tree(), ["post /v1/chat/completions !HTTP status 500"]);
  });

  it("marks a failure that came after the engine was done", () => {
    const harness = new Harness();
    const trace = begin(harness);
    for (const event of [ADMITTED, prefilled, token(15_000), ended(FINISHED, 15_010)]) trace.observe(event);
    trace.finish({ status: 500, at: 16_000, error: { code: "internal", message: "the detokenizer broke" } });
    assert.equal(harness.span("model.generate").tags?.["ai.outcome"], "failed");
    assert.match(harness.span("post /v1/chat/completions").tags?.error ?? "", /detokenizer/);
  });

  it("covers late writing: no parent ends before its child", () => {
    const harness = new Harness();
    const trace = begin(harness);
    trace.wrote({ name: "stream", start: 3_000, end: 9_000, chunks: 1 });
    trace.finish({ status: 200, at: 8_000 });
    checkShape(harness.spans());
    assert.equal(harness.span("post /v1/chat/completions").duration, 9_000);
  });

  it("closes every span once, whatever comes afterwards", () => {
    const harness = new Harness();
    const trace = complete(harness);
    const before = harness.spans().length;
    trace.observe(ADMITTED);
    trace.generating(1, GENERATE);
    trace.tokenized(1, 2, 3);
    trace.wrote({ name: "stream", start: 1, end: 2, chunks: 1 });
    trace.finish({ status: 500, at: 99_000 });
    assert.equal(harness.spans().length, before);
    assert.equal(harness.processor.counts.ended, before);
  });
});

describe("request trace and its caller", () => {
  const TRACE = "463ac35c9f6413ad48485a3953bb6124";
  const SPAN = "a2fb4a1d1a96d312";

  it("is a child of the caller's span, and names itself to the client", () => {
    const harness = new Harness();
    const trace = complete(harness, { "x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "1" });
    assert.equal(trace.traceId, TRACE);
    assert.equal(harness.span("post /v1/chat/completions").parentId, SPAN);
    assert.equal(harness.span("post /v1/chat/completions").id, trace.spanId);
    assert.deepEqual(trace.responseHeaders(), {
      "x-b3-traceid": TRACE,
      "x-b3-spanid": trace.spanId,
      "x-b3-sampled": "1",
    });
  });

  it("stays one trace with a caller that has 64-bit ids", () => {
    const harness = new Harness();
    const trace = complete(harness, { b3: `48485a3953bb6124-${SPAN}-1` });
    assert.equal(trace.traceId, "000000000000000048485a3953bb6124");
    assert.equal(trace.responseHeaders()["x-b3-traceid"], "48485a3953bb6124");
    assert.ok(harness.spans().every(({ traceId }) => traceId === "48485a3953bb6124"));
  });

  it("carries debug to every span, though nothing else is sampled", () => {
    const harness = new Harness({ sampleRate: 0 });
    complete(harness, { "x-b3-flags": "1" });
    assert.equal(harness.spans().length, 8);
    assert.ok(harness.spans().every(({ debug }) => debug === true));
  });

  it("answers in the configured format, x-b3-traceid always included", () => {
    const w3c = new Harness({ propagation: "w3c" }).requests.start(INCOMING);
    assert.deepEqual(w3c.responseHeaders(), {
      "x-b3-traceid": w3c.traceId,
      traceparent: `00-${w3c.traceId}-${w3c.spanId}-01`,
    });
    const b3 = new Harness({ propagation: "b3" }).requests.start(INCOMING);
    assert.deepEqual(b3.responseHeaders(), { "x-b3-traceid": b3.traceId, b3: `${b3.traceId}-${b3.spanId}-1` });
  });

  it("has ids and headers but no spans when the caller said no", () => {
    const harness = new Harness();
    const trace = complete(harness, { traceparent: `00-${TRACE}-${SPAN}-00` });
    assert.deepEqual([trace.sampled, trace.traceId], [false, TRACE]);
    assert.notEqual(trace.spanId, SPAN);
    assert.deepEqual(trace.responseHeaders(), {
      "x-b3-traceid": TRACE,
      "x-b3-spanid": trace.spanId,
      "x-b3-sampled": "0",
    });
    assert.deepEqual([...harness.store.traces()], []);
    assert.equal(harness.processor.counts.ended, 0);
  });
});
