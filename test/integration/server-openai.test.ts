import assert from "node:assert/strict";
import type OpenAI from "openai";
import {
  APIError,
  APIUserAbortError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from "openai";
import { LIMITS, ServerHarness } from "../support/server-harness.js";

const chat = { model: "fake", messages: [{ role: "user" as const, content: "Hi" }] };
const completion = { model: "fake", prompt: "Hi" };

describe("server: the openai client, unmodified", () => {
  let harness: ServerHarness;
  let openai: OpenAI;
  beforeEach(async () => {
    harness = await ServerHarness.start({ limits: { ...LIMITS, maxInFlight: 2 } });
    openai = harness.openai;
    harness.engine.play = (fake) => fake.admit().prefill().text("Hello you").finish("stop");
  });
  afterEach(() => harness.stop());

  it("completions", async () => {
    const answer = await openai.completions.create({ ...completion, max_tokens: 20, seed: 3 });
    assert.equal(answer.choices[0]?.text, "Hello you");
    assert.equal(answer.choices[0]?.finish_reason, "stop");
    assert.deepEqual(
      [answer.usage?.prompt_tokens, answer.usage?.completion_tokens, answer.usage?.total_tokens],
      [2, 9, 11],
    );
    assert.deepEqual([answer.object, answer.created, answer.model], ["text_completion", 1_700_000_000, "fake"]);
    assert.match(answer.id, /^cmpl-/);
  });

  it("chat", async () => {
    const answer = await openai.chat.completions.create({ ...chat, max_completion_tokens: 20, user: "bob" });
    assert.deepEqual(answer.choices[0]?.message, { role: "assistant", content: "Hello you", refusal: null });
    assert.equal(answer.object, "chat.completion");
    assert.match(answer.id, /^chatcmpl-/);
    assert.equal(answer.usage?.completion_tokens, 9);
  });

  it("completions, streamed", async () => {
    const stream = await openai.completions.create({ ...completion, stream: true });
    let text = "";
    const reasons: unknown[] = [];
    for await (const chunk of stream) {
      text += chunk.choices[0]?.text ?? "";
      reasons.push(chunk.choices[0]?.finish_reason);
      assert.equal(chunk.usage, undefined);
    }
    assert.equal(text, "Hello you");
    assert.deepEqual(reasons.filter(Boolean), ["stop"]);
  });

  it("chat, streamed with usage", async () => {
    const stream = await openai.chat.completions.create({
      ...chat,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    assert.equal(chunks[0]?.choices[0]?.delta.role, "assistant");
    assert.equal(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join(""), "Hello you");
    assert.deepEqual(chunks.at(-1)?.choices, []);
    assert.equal(chunks.at(-1)?.usage?.total_tokens, "user: Hi\nassistant:".length + 9);
    assert.ok(chunks.slice(0, -1).every(({ usage }) => usage === null));
    assert.equal(new Set(chunks.map(({ id }) => id)).size, 1);
  });

  it("chat, through the client's streaming helper", async () => {
    const stream = openai.chat.completions.stream(chat);
    assert.equal(await stream.finalContent(), "Hello you");
  });

  it("models", async () => {
    const models = await openai.models.list();
    assert.deepEqual(
      models.data.map(({ id, object }) => [id, object]),
      [["fake", "model"]],
    );
    assert.equal((await openai.models.retrieve("fake")).id, "fake");
    await assert.rejects(openai.models.retrieve("org/other"), NotFoundError);
  });

  it("raises the client's own error classes, with param and code", async () => {
    await assert.rejects(openai.chat.completions.create({ ...chat, temperature: 3 }), (error: unknown) => {
      assert.ok(error instanceof BadRequestError);
      assert.equal(error.param, "temperature");
      assert.equal(error.type, "invalid_request_error");
      assert.match(error.message, /`temperature` must be/);
      return true;
    });
    await assert.rejects(openai.chat.completions.create({ ...chat, model: "nope" }), (error: unknown) => {
      assert.ok(error instanceof NotFoundError);
      assert.equal(error.code, "model_not_found");
      return true;
    });
    await assert.rejects(openai.completions.create({ ...completion, max_tokens: 1000 }), (error: unknown) => {
      assert.ok(error instanceof BadRequestError);
      assert.equal(error.code, "context_length_exceeded");
      return true;
    });
    harness.engine.setState({ kind: "stopped" });
    await assert.rejects(openai.chat.completions.create(chat), InternalServerError);
  });

  it("raises RateLimitError when the queue is full", async () => {
    harness.engine.play = undefined;
    const first = openai.completions.create(completion);
    const one = await harness.engine.nextRequest();
    const second = openai.completions.create(completion);
    const two = await harness.engine.nextRequest();
    await assert.rejects(openai.completions.create(completion), RateLimitError);
    for (const fake of [one, two]) fake.admit().prefill().text("a").finish();
    assert.equal((await first).choices[0]?.text, "a");
    assert.equal((await second).choices[0]?.text, "a");
  });

  it("raises when the engine is lost mid-stream", async () => {
    harness.engine.play = (fake) =>
      fake.admit().prefill().text("Hel").fail({ code: "engine_lost", message: "The engine was killed." });
    const stream = await openai.chat.completions.create({ ...chat, stream: true });
    let text = "";
    await assert.rejects(
      async () => {
        for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
      },
      (error: unknown) => {
        assert.ok(error instanceof APIError);
        assert.equal(error.code, "engine_lost");
        return true;
      },
    );
    assert.equal(text, "Hel");
  });

  it("cancels when the caller aborts or leaves the loop", async () => {
    harness.engine.play = undefined;
    const stream = await Promise.all([
      openai.chat.completions.create({ ...chat, stream: true }),
      harness.engine.nextRequest().then((fake) => fake.admit().prefill().text("a")),
    ]);
    for await (const _chunk of stream[0]) break;
    await harness.tracing.traces[0]?.finished;
    assert.deepEqual(stream[1].cancels, ["client_gone"]);

    const controller = new AbortController();
    const whole = openai.completions.create(completion, { signal: controller.signal });
    const rejected = assert.rejects(whole, APIUserAbortError);
    const fake = await harness.engine.nextRequest();
    controller.abort();
    await rejected;
    assert.equal((await harness.tracing.traces[1]?.finished)?.error?.code, "client_closed");
    assert.deepEqual(fake.cancels, ["client_gone"]);
  });

  it("gives the caller the ids of request and trace", async () => {
    const { response, request_id } = await openai.completions.create(completion).withResponse();
    assert.equal(request_id, response.headers.get("x-request-id"));
    assert.equal(response.headers.get("x-b3-traceid"), harness.tracing.traces[0]?.traceId);
    const line = harness.log.find((entry) => entry.request_id === request_id && "outcome" in entry);
    assert.equal(line?.trace_id, harness.tracing.traces[0]?.traceId);
    assert.equal(line?.span_id, harness.tracing.traces[0]?.spanId);
  });
});
