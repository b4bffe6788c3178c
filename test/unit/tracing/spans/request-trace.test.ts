import assert from "node:assert/strict";
import type { RequestEvent } from "../../../../src/protocol.js";
import { stepTraceId } from "../../../../src/tracing/spans/trace-ids.js";
import { EPOCH, GENERATE, Harness, INCOMING } from "../harness.js";
import {
  ADMITTED,
  begin,
  checkShape,
  complete,
  DECODE,
  ended,
  FINISHED,
  GENERATED,
  id,
  prefilled,
  RUN,
  token,
} from "./request-fixtures.js";

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
      "ai.runtime": "native",
      "ai.runtime.reason": "asked for",
      user_id_hash: "0123abcd",
      "user_id_hash.previous": "4567cdef",
      api_key_hash: "89ab0123",
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
      "ai.kv.reused_bytes": "4096",
      "ai.kv.evicted": "2",
      "ai.kv.evicted_bytes": "2048",
      "ai.kv.wait_ms": "1.235",
      "ai.kv.pool_bytes": "262144",
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

  it("shows the growth of the KV cache: with the admission, beside a phase, and in what it held up", () => {
    const harness = new Harness();
    const trace = begin(harness);
    const device = { ...RUN.device, kvCache: "cuda" } as const;
    const growth = { start: 5_010, end: 5_090, fromBytes: 1_000, toBytes: 3_000 };
    const allocation = {
      ...ADMITTED.allocation,
      growth: { ...growth, refused: { bytes: 9_000, fallback: "less" } as const },
    };
    trace.observe({ ...ADMITTED, allocation, run: { ...RUN, device } });
    trace.observe(prefilled);
    trace.observe(token(15_000));
    const grown = { start: 16_000, end: 56_000, fromBytes: 3_000, toBytes: 6_000 };
    trace.observe({ type: "cache_growth", id, growth: grown });
    trace.observe(ended(FINISHED, 96_000, { ...DECODE, end: 96_000, cacheGrowthMs: 40 }));
    trace.finish({ status: 200, at: 97_000 });
    const { tags = {} } = harness.span("kv_cache.allocate");
    assert.deepEqual(
      ["growth_bytes", "growth_ms", "refused_bytes", "fallback", "device"].map((name) => tags[`ai.kv.${name}`]),
      ["2000", "0.08", "9000", "less", "cuda:1"],
    );
    const span = harness.span("kv_cache.grow");
    assert.deepEqual([span.timestamp, span.duration], [EPOCH + 16_000, 40_000]);
    assert.equal(span.parentId, harness.span("model.generate").id);
    assert.deepEqual(span.tags, {
      "ai.kv.pool_bytes": "6000",
      "ai.kv.device": "cuda:1",
      "ai.kv.growth_bytes": "3000",
      "ai.kv.growth_ms": "40",
    });
    assert.equal(harness.span("inference.forward", "decode").tags?.["ai.kv.growth_ms"], "40");
    assert.equal(harness.span("inference.forward", "prefill").tags?.["ai.kv.growth_ms"], undefined);
  });

  it("says of a request that ends in the queue how long there was no memory for it", () => {
    const harness = new Harness();
    const trace = begin(harness);
    trace.observe({ ...ended({ kind: "cancelled", cause: "timeout" }, 9_000), waitMs: 6.5 } as RequestEvent);
    trace.finish({ status: 504, at: 9_100 });
    assert.equal(harness.span("queue").tags?.["ai.kv.wait_ms"], "6.5");
  });

  it("names the first, last and slowest step of each phase by their traces", () => {
    const harness = new Harness();
    complete(harness, {}, { ...DECODE, stepNumbers: { first: 9, last: 1_234, slowest: 77 } });
    const tags = harness.span("inference.forward", "decode").tags ?? {};
    assert.equal(tags["ai.step.first"], stepTraceId(RUN, 9));
    assert.equal(tags["ai.step.last"], stepTraceId(RUN, 1_234));
    assert.equal(tags["ai.step.slowest"], stepTraceId(RUN, 77));
    assert.equal(harness.span("inference.forward", "prefill").tags?.["ai.step.first"], undefined);
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
});
