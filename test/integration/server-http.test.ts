import assert from "node:assert/strict";
import { once } from "node:events";
import { createConnection } from "node:net";
import { VitrineError } from "../../src/errors.js";
import type { ErrorBody } from "../../src/server/error-response.js";
import { BODY_BYTES } from "../../src/server/error-response.js";
import { LIST_BYTES } from "../../src/tracing/store/write-api.js";
import { FAKE_DEVICE, FAKE_MODEL } from "../support/fake-engine.js";
import { byteTokenizer, ServerHarness } from "../support/server-harness.js";

const errorOf = async (response: Response): Promise<ErrorBody["error"]> => ((await response.json()) as ErrorBody).error;

describe("server: requests that are refused, and the routes beside", () => {
  let harness: ServerHarness;
  beforeEach(async () => {
    harness = await ServerHarness.start();
  });
  afterEach(() => harness.stop());

  it("names the field of a bad request, and traces the refusal", async () => {
    const response = await harness.complete({ temperature: 9 });
    assert.equal(response.status, 400);
    assert.deepEqual(await errorOf(response), {
      message: "`temperature` must be a number from 0 to 2.",
      type: "invalid_request_error",
      param: "temperature",
      code: null,
    });
    const [trace] = harness.tracing.traces;
    assert.equal(response.headers.get("x-b3-traceid"), trace?.traceId);
    const { status, error } = (await trace?.finished) ?? {};
    assert.equal(status, 400);
    assert.equal(error?.param, "temperature");
    assert.deepEqual(trace?.story, ["finish"]);
  });

  it("refuses broken JSON without quoting it", async () => {
    const broken = await harness.post("/v1/completions", '{"prompt": "secret');
    assert.equal(broken.status, 400);
    const error = await errorOf(broken);
    assert.ok(!error.message.includes("secret"));
  });

  it("refuses other media types with 415, and a body that is too large with 413", async () => {
    const form = await harness.complete({}, { headers: { "content-type": "text/plain" } });
    assert.equal(form.status, 415);
    assert.equal((await errorOf(form)).code, "unsupported_media_type");
    const large = await harness.complete({ prompt: "x".repeat(BODY_BYTES) });
    assert.equal(large.status, 413);
    assert.equal((await errorOf(large)).code, "request_too_large");
    assert.deepEqual(
      await Promise.all(harness.tracing.traces.map(async (trace) => (await trace.finished).status)),
      [415, 413],
    );
  });

  it("refuses encodings that it would misread, and takes a byte order mark", async () => {
    const gzip = await harness.complete(
      {},
      { headers: { "content-type": "application/json", "content-encoding": "gzip" } },
    );
    assert.equal(gzip.status, 415);
    assert.match((await errorOf(gzip)).message, /content-encoding/);
    const latin = await harness.complete({}, { headers: { "content-type": "application/json; charset=latin1" } });
    assert.equal(latin.status, 415);
    assert.match((await errorOf(latin)).message, /UTF-8/);
    const url = `${harness.url}/v1/completions`;
    const headers = { "content-type": "application/json; charset=UTF-8" };
    const empty = await fetch(url, { method: "POST", headers, body: " " });
    assert.match((await errorOf(empty)).message, /empty/);
    const marked = await fetch(url, { method: "POST", headers, body: '\uFEFF{"model":"other","prompt":"a"}' });
    assert.equal(marked.status, 404);
  });

  it("answers 404 for unknown paths and models, 405 for other methods, in OpenAI's shape", async () => {
    const nowhere = await fetch(`${harness.url}/v2/nothing?q=secret`);
    assert.equal(nowhere.status, 404);
    assert.equal((await errorOf(nowhere)).code, "not_found");
    const model = await harness.complete({ model: "gpt-secret" });
    assert.equal(model.status, 404);
    const error = await errorOf(model);
    assert.deepEqual([error.code, error.param], ["model_not_found", "model"]);
    assert.ok(!error.message.includes("gpt-secret"));
    for (const [method, path, allow] of [
      ["GET", "/v1/completions", "POST"],
      ["DELETE", "/v1/chat/completions", "POST"],
      ["POST", "/health", "GET"],
      ["PUT", "/v1/models/fake", "GET"],
    ] as const) {
      const response = await fetch(harness.url + path, { method, ...(method === "GET" ? {} : { body: "plain" }) });
      assert.equal(response.status, 405, `${method} ${path}`);
      assert.equal(response.headers.get("allow"), allow);
      assert.equal((await errorOf(response)).code, "method_not_allowed");
    }
    const bad = await fetch(`${harness.url}/v1/%zz`);
    assert.equal(bad.status, 400);
    assert.equal((await errorOf(bad)).type, "invalid_request_error");
  });

  it("answers what is not HTTP with 400", async () => {
    const socket = createConnection({ port: harness.port, host: "127.0.0.1" });
    let answer = "";
    socket.setEncoding("utf8").on("data", (data: string) => {
      answer += data;
    });
    socket.write("NOT HTTP\r\n\r\n");
    await once(socket, "close");
    assert.match(answer, /^HTTP\/1.1 400 /);
    assert.match(answer, /"type":"invalid_request_error"/);
  });

  it("holds prompt and answer to the context", async () => {
    const long = await harness.complete({ prompt: "x".repeat(256) });
    assert.equal(long.status, 400);
    const tooLong = await errorOf(long);
    assert.deepEqual([tooLong.code, tooLong.param], ["context_length_exceeded", "prompt"]);
    assert.match(tooLong.message, /256 tokens/);
    const much = await errorOf(await harness.complete({ prompt: "x".repeat(200), max_tokens: 57 }));
    assert.deepEqual([much.code, much.param], ["context_length_exceeded", "max_tokens"]);
    assert.match(much.message, /at most 56/);
    assert.deepEqual(harness.tracing.traces[0]?.story, ["generating", "tokenized", "finish"]);
    const empty = await errorOf(await harness.complete({ prompt: "" }));
    assert.equal(empty.param, "prompt");
    const token = await errorOf(await harness.complete({ prompt: [1, 257] }));
    assert.equal(token.param, "prompt[1]");
  });

  it("hands the engine what was asked for, with defaults that fit", async () => {
    const lengths = [
      [{ prompt: "Hi" }, 16],
      [{ prompt: "x".repeat(250) }, 6],
      [{ prompt: "x".repeat(250), max_tokens: 6 }, 6],
      [{ prompt: [1, 2], max_tokens: 254 }, 254],
    ] as const;
    for (const [fields, maxTokens] of lengths) {
      const answer = harness.complete(fields);
      const fake = await harness.engine.nextRequest();
      assert.equal(fake.request.maxTokens, maxTokens);
      fake.admit().prefill().finish();
      await answer;
    }
    const chat = harness.chat({ seed: 7, temperature: 0, user: "bob" });
    const fake = await harness.engine.nextRequest();
    const prompt = "user: Hi\nassistant:";
    assert.equal(Buffer.from(fake.request.prompt).toString(), prompt);
    assert.equal(fake.request.maxTokens, FAKE_MODEL.contextLength - prompt.length);
    assert.deepEqual(fake.request.stopTokenIds, [256]);
    assert.equal(fake.request.sampling.seed, 7);
    const { attributes } = harness.tracing.traces.at(-1) ?? {};
    assert.equal(attributes?.sampling.temperature, 0);
    assert.deepEqual(attributes?.user, { current: "hash-of-3" });
    assert.deepEqual(attributes?.apiKey, undefined);
    assert.equal(attributes?.operation, "chat");
    fake.finish();
    assert.equal((await chat).status, 200);
  });

  it("echoes a fit request id, and makes one otherwise", async () => {
    const id = async (sent?: string) =>
      (
        await fetch(`${harness.url}/health`, { headers: sent === undefined ? {} : { "x-request-id": sent } })
      ).headers.get("x-request-id");
    assert.equal(await id("abc-1"), "abc-1");
    assert.match((await id()) ?? "", /^req-/);
    assert.match((await id("with space and text")) ?? "", /^req-/);
  });

  it("refuses before any work when the engine is not ready, and says so in /ready and /health", async () => {
    const ready = () => fetch(`${harness.url}/ready`);
    assert.equal((await ready()).status, 200);
    const lost = { code: "engine_lost", message: "killed" } as const;
    for (const state of [
      { kind: "starting", phase: "warmup" },
      { kind: "restarting", error: lost, restarts: 2 },
      { kind: "failed", error: lost },
      { kind: "stopped" },
    ] as const) {
      harness.engine.setState(state);
      const probe = await ready();
      assert.equal(probe.status, 503, state.kind);
      assert.equal(probe.headers.get("retry-after"), "1");
      const response = await harness.complete();
      assert.equal(response.status, 503);
      const { engine, status } = (await (await fetch(`${harness.url}/health`)).json()) as {
        engine: { state: string };
        status: string;
      };
      assert.deepEqual([engine.state, status], [state.kind, "ok"]);
    }
    assert.equal(harness.engine.requests.length, 0);
    assert.deepEqual(harness.tracing.traces[0]?.story, ["finish"]);
  });

  it("describes itself in /health", async () => {
    const health = (await (await fetch(`${harness.url}/health`)).json()) as Record<string, unknown>;
    assert.equal(health.version, "1.2.3");
    assert.deepEqual(health.model, { id: "fake", dtype: "fp32", context_length: 256 });
    assert.deepEqual(health.device, { requested: "auto", provider: "cpu", reason: "this is a test" });
    assert.deepEqual(health.engine, { state: "ready" });
    assert.deepEqual(health.devices, [{ ...FAKE_DEVICE, state: "ready", in_flight: 0 }]);
    assert.deepEqual(health.queue, { in_flight: 0, limit: 128, waiting: 0, running: 0 });
    assert.deepEqual(health.tracing, {
      ended: 11,
      delivered: 5,
      sampled_out: 2,
      queued: 1,
      spooled: 6,
      recovered: 6,
      dropped: { queue_full: 3 },
      messages: 3,
      messages_dropped: { timeout: 1 },
      attributes_dropped: 4,
    });
  });

  it("serves Zipkin's read API from the store, with the query", async () => {
    const response = await fetch(`${harness.url}/zipkin/api/v2/traces?serviceName=vitrine&limit=10`);
    assert.equal(response.status, 200);
    assert.match(response.headers.get("content-type") ?? "", /^application\/json/);
    assert.deepEqual(await response.json(), { path: "/traces?serviceName=vitrine&limit=10" });
    harness.tracing.store = undefined;
    const off = await fetch(`${harness.url}/zipkin/api/v2/services`);
    assert.equal(off.status, 404);
    assert.match((await errorOf(off)).message, /--trace-store on/);
  });

  it("leads from Zipkin's page of a trace to the trace", async () => {
    const response = await fetch(`${harness.url}/zipkin/traces/00ab%2F..`);
    assert.deepEqual(await response.json(), { path: "/trace/00ab%2F.." });
  });

  it("hands spans of other services to the store as they come, gzipped or not", async () => {
    const url = `${harness.url}/zipkin/api/v2/spans`;
    const send = (headers: Record<string, string>, body: string | Uint8Array) =>
      fetch(url, { method: "POST", headers: { "content-type": "application/json", ...headers }, body });
    const plain = await send({}, "[{}]");
    assert.deepEqual([plain.status, await plain.text()], [202, "4 false"]);
    assert.equal(await (await send({ "content-encoding": "gzip" }, new Uint8Array(9))).text(), "9 true");
    assert.equal((await send({ "content-encoding": "br" }, "[]")).status, 415);
    assert.equal((await send({ "content-type": "application/x-protobuf" }, "[]")).status, 415);
    const large = await send({}, " ".repeat(LIST_BYTES + 1));
    assert.equal(large.status, 413);
    assert.match((await errorOf(large)).message, new RegExp(`larger than ${LIST_BYTES} bytes: send fewer spans`));
    assert.equal((await fetch(`${url}?serviceName=vitrine`)).status, 200);
    harness.tracing.store = undefined;
    assert.match((await errorOf(await send({}, "[]"))).message, /--trace-store on/);
  });

  it("never writes what was asked, answered or authorized into the log", async () => {
    harness.engine.play = (fake) => fake.admit().prefill().text("zebra-answer").finish();
    const fields = { prompt: "zebra-prompt", user: "zebra-user", zebra_field: "zebra-value", stop: "zebra-stop" };
    await (await harness.complete(fields, { headers: { authorization: "Bearer zebra-key" } })).text();
    await harness.complete({ prompt: "zebra-prompt", temperature: "zebra-temperature" });
    await harness.chat({ messages: [{ role: "zebra-role", content: "zebra-content" }] });
    for (const trace of harness.tracing.traces) await trace.finished;
    const metrics = await (await fetch(`${harness.url}/metrics`)).text();
    const everything = JSON.stringify([harness.log, harness.tracing.traces.map(({ calls }) => calls), metrics]);
    assert.equal(everything.match(/zebra[-_]\w+/g), null);
  });
});

describe("server: metrics", () => {
  it("count requests by route, status and outcome, and tokens and spans", async () => {
    const harness = await ServerHarness.start();
    harness.engine.play = (fake) => fake.admit().prefill().text("abc").finish();
    await (await harness.complete()).text();
    await (await harness.chat({ temperature: 5 })).text();
    await fetch(`${harness.url}/random-1`);
    await fetch(`${harness.url}/random-2`);
    for (const status of [200, 400, 404, 503]) {
      harness.tracing.store = {
        ...harness.tracing.store,
        get: async () => ({ status, body: "[]" }),
        post: async () => ({ status, body: "" }),
      };
      await fetch(`${harness.url}/zipkin/api/v2/traces?limit=zebra`);
    }
    harness.tracing.refusals = [{ header: "b3", reason: "upper_case", count: 4 }];
    for (const trace of harness.tracing.traces) await trace.finished;
    harness.engine.loaded({
      device: "auto",
      load: { start: 0, end: 1, phases: [] },
      restarts: 1,
      result: { kind: "failed", error: { code: "engine_lost", message: "gone" } },
    });
    const response = await fetch(`${harness.url}/metrics`);
    assert.match(response.headers.get("content-type") ?? "", /^text\/plain/);
    const text = await response.text();
    for (const line of [
      'vitrine_requests_total{route="/v1/completions",status="200",outcome="ok"} 1',
      'vitrine_requests_total{route="/v1/chat/completions",status="400",outcome="invalid_request"} 1',
      'vitrine_requests_total{route="none",status="404",outcome="not_found"} 2',
      'vitrine_requests_total{route="/zipkin/api/v2/*",status="200",outcome="ok"} 1',
      'vitrine_requests_total{route="/zipkin/api/v2/*",status="400",outcome="invalid_request"} 1',
      'vitrine_requests_total{route="/zipkin/api/v2/*",status="404",outcome="not_found"} 1',
      'vitrine_requests_total{route="/zipkin/api/v2/*",status="503",outcome="internal"} 1',
      'vitrine_trace_headers_refused_total{header="b3",reason="upper_case"} 4',
      'vitrine_tokens_total{kind="prompt"} 2',
      'vitrine_cost_device_seconds_total{model="fake",caller="none"} 0',
      "vitrine_span_attributes_dropped_total 4",
      'vitrine_tokens_total{kind="completion"} 3',
      'vllm:time_to_first_token_seconds_count{model_name="fake"} 1',
      'vllm:inter_token_latency_seconds_count{model_name="fake"} 2',
      'vllm:time_per_output_token_seconds_count{model_name="fake"} 2',
      'vllm:request_time_per_output_token_seconds_count{model_name="fake"} 1',
      'vllm:request_queue_time_seconds_count{model_name="fake"} 1',
      'vllm:request_prefill_time_seconds_count{model_name="fake"} 1',
      'vllm:request_decode_time_seconds_count{model_name="fake"} 1',
      'vllm:e2e_request_latency_seconds_count{model_name="fake"} 2',
      'vitrine_requests_in_flight{engine="0",device="cpu"} 0',
      'vitrine_kv_cache_utilization{engine="0",device="cpu"} 0.25',
      'vitrine_kv_cache_allocated_bytes{engine="0",device="cpu"} 4096',
      'vitrine_kv_cache_limit_bytes{engine="0",device="cpu"} 8192',
      'vitrine_kv_cache_growths_total{engine="0",device="cpu"} 2',
      'vitrine_kv_cache_growth_failures_total{engine="0",device="cpu"} 1',
      'vitrine_kv_cache_growth_seconds_total{engine="0",device="cpu"} 0.25',
      'vitrine_kv_cache_evicted_tokens_total{engine="0",device="cpu"} 16',
      'vitrine_engine_ready{engine="0",device="cpu"} 1',
      "vitrine_engine_restarts_total 1",
      'vitrine_device_busy_seconds_total{engine="0",device="cpu"} 1.5',
      'vitrine_device_idle_seconds_total{engine="0",device="cpu"} 2.5',
      "zipkin_reporter_spans_total 11",
      "zipkin_reporter_spans_bytes_total 900",
      'zipkin_reporter_spans_dropped_total{cause="queue_full"} 3',
      "zipkin_reporter_queue_spans 1",
      "zipkin_reporter_queue_bytes 100",
      "zipkin_reporter_messages_total 3",
      "zipkin_reporter_messages_bytes_total 600",
      'zipkin_reporter_messages_dropped_total{cause="timeout"} 1',
      "vitrine_spans_delivered_total 5",
      "vitrine_spans_sampled_out_total 2",
      "vitrine_spans_on_disk 6",
      "vitrine_spans_recovered_total 6",
      'vitrine_destination_spans_total{destination="zipkin",fate="delivered"} 5',
      'vitrine_destination_spans_total{destination="zipkin",fate="queue_full"} 3',
      'vitrine_destination_spans_waiting{destination="zipkin",place="queue"} 1',
      'vitrine_destination_spans_waiting{destination="zipkin",place="disk"} 6',
    ]) {
      assert.ok(text.split("\n").includes(line), line);
    }
    assert.ok(!JSON.stringify([text, harness.log]).includes("zebra"));
    assert.match(text, /^process_cpu_seconds_total /m);
    await harness.stop();
  });
});

describe("server: OpenMetrics", () => {
  const accept = { headers: { accept: "application/openmetrics-text; version=1.0.0, text/plain;q=0.5" } };

  async function exemplars(kept: boolean): Promise<readonly string[]> {
    const harness = await ServerHarness.start();
    harness.tracing.kept = kept;
    harness.engine.play = (fake) => fake.admit().prefill().text("abc").finish();
    await (await harness.complete()).text();
    await harness.tracing.traces[0]?.finished;
    const response = await fetch(`${harness.url}/metrics`, accept);
    assert.match(response.headers.get("content-type") ?? "", /^application\/openmetrics-text; version=1\.0\.0/);
    const lines = (await response.text()).split("\n");
    assert.deepEqual(lines.slice(-2), ["# EOF", ""]);
    assert.ok(lines.includes('vllm:time_to_first_token_seconds_count{model_name="fake"} 1'), "measured, kept or not");
    await harness.stop();
    return lines.flatMap((line) => /^vllm:(\w+)_bucket.* # \{trace_id="0{31}1"/.exec(line)?.[1] ?? []);
  }

  it("has exemplars of kept traces", async () => {
    assert.deepEqual(await exemplars(true), [
      "time_to_first_token_seconds",
      "request_time_per_output_token_seconds",
      "request_queue_time_seconds",
      "request_prefill_time_seconds",
      "request_decode_time_seconds",
      "e2e_request_latency_seconds",
    ]);
  });

  it("has none of others, whose times count all the same", async () => {
    assert.deepEqual(await exemplars(false), []);
  });
});

describe("server: a base model without a chat template", () => {
  it("refuses chat and names the way out", async () => {
    const harness = await ServerHarness.start({ chatTemplate: undefined });
    const response = await harness.chat();
    assert.equal(response.status, 400);
    assert.match((await errorOf(response)).message, /\/v1\/completions/);
    await harness.stop();
  });
});

describe("server: listening", () => {
  it("says how to mend a taken port", async () => {
    const harness = await ServerHarness.start();
    const error: unknown = await ServerHarness.start({}, harness.port).catch((thrown: unknown) => thrown);
    assert.ok(error instanceof VitrineError);
    assert.equal(error.code, "port_unavailable");
    assert.match(error.message, /--port/);
    await harness.stop();
  });
});

describe("server: a tokenizer that fails", () => {
  it("answers 500 without the failure's text, and logs where it was", async () => {
    const broken = {
      ...byteTokenizer,
      encode: (): never => {
        throw new TypeError("cannot encode zebra");
      },
    };
    const harness = await ServerHarness.start({ tokenizer: broken });
    const response = await harness.complete();
    assert.equal(response.status, 500);
    const error = await errorOf(response);
    assert.deepEqual([error.code, error.type], ["internal", "server_error"]);
    await harness.stop();
    assert.ok(!JSON.stringify([error, harness.log]).includes("zebra"));
    const line = harness.log.find(({ msg }) => msg === "unforeseen error");
    assert.match(String(line?.stack), /^TypeError\n {4}at /);
    assert.equal(line?.trace_id, harness.tracing.traces[0]?.traceId);
  });
});
