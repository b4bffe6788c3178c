/** The real service, process and model, as the official OpenAI client sees them. */
import assert from "node:assert/strict";
import OpenAI from "openai";
import { openaiClient } from "../support/openai-client.js";
import { VitrineProcess } from "../support/vitrine-process.js";
import { ZipkinClient } from "../support/zipkin-client.js";

const PROMPT = { model: "tiny", prompt: "Once upon a time" } as const;
const STORY = { ...PROMPT, temperature: 0, max_tokens: 60 } as const;
const CHAT = {
  model: "tiny",
  messages: [{ role: "user", content: "Tell me a story." }],
  temperature: 0,
  max_tokens: 60,
} satisfies OpenAI.ChatCompletionCreateParamsNonStreaming;

describe("OpenAI client", function () {
  this.timeout(60_000);
  let vitrine: VitrineProcess;
  let openai: OpenAI;

  before(async () => {
    vitrine = await VitrineProcess.start();
    openai = openaiClient(vitrine.url);
  });

  after(async () => {
    await vitrine?.stop();
  });

  it("lists and finds the model", async () => {
    const models = await openai.models.list();
    assert.deepEqual(
      models.data.map(({ id, object }) => ({ id, object })),
      [{ id: "tiny", object: "model" }],
    );
    assert.equal((await openai.models.retrieve("tiny")).id, "tiny");
    await assert.rejects(openai.models.retrieve("large"), OpenAI.NotFoundError);
  });

  it("completes a prompt", async () => {
    const completion = await openai.completions.create({ ...STORY, max_tokens: 12 });
    assert.equal(completion.object, "text_completion");
    assert.equal(completion.model, "tiny");
    const [choice] = completion.choices;
    assert.equal(choice?.finish_reason, "length");
    assert.match(choice?.text ?? "", /\w/);
    const { usage } = completion;
    assert.equal(usage?.completion_tokens, 12);
    assert.ok(usage && usage.prompt_tokens > 0);
    assert.equal(usage.total_tokens, usage.prompt_tokens + 12);
  });

  it("streams the text that it would send whole, with usage when asked", async () => {
    const whole = await openai.completions.create(STORY);
    const stream = await openai.completions.create({ ...STORY, stream: true, stream_options: { include_usage: true } });
    let text = "";
    const reasons: string[] = [];
    let usage: OpenAI.CompletionUsage | undefined;
    for await (const chunk of stream) {
      const [choice] = chunk.choices;
      text += choice?.text ?? "";
      if (choice?.finish_reason) reasons.push(choice.finish_reason);
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, whole.choices[0]?.text);
    assert.deepEqual(reasons, [whole.choices[0]?.finish_reason]);
    assert.deepEqual(usage, whole.usage);
  });

  it("chats, whole and streamed", async () => {
    const whole = await openai.chat.completions.create(CHAT);
    const [choice] = whole.choices;
    assert.equal(choice?.message.role, "assistant");
    assert.match(choice?.message.content ?? "", /\w/);

    const stream = await openai.chat.completions.create({ ...CHAT, stream: true });
    let text = "";
    let role: string | undefined;
    for await (const chunk of stream) {
      role = chunk.choices[0]?.delta.role ?? role;
      text += chunk.choices[0]?.delta.content ?? "";
    }
    assert.equal(role, "assistant");
    assert.equal(text, choice?.message.content);
  });

  it("works with the client's own stream helper", async () => {
    const runner = openai.chat.completions.stream(CHAT);
    const final = await runner.finalChatCompletion();
    assert.equal(
      final.choices[0]?.message.content,
      (await openai.chat.completions.create(CHAT)).choices[0]?.message.content,
    );
  });

  it("gives the same tokens for the same seed, and others for another", async () => {
    const sampled = async (seed: number) => {
      const completion = await openai.completions.create({ ...PROMPT, temperature: 1.5, max_tokens: 40, seed });
      return completion.choices[0]?.text;
    };
    // One after the other: a quantized model's logits move a little with the size of the batch.
    const first = await sampled(1);
    assert.equal(await sampled(1), first);
    assert.notEqual(await sampled(2), first);
  });

  it("ends before a stop string", async () => {
    const whole = (await openai.completions.create(STORY)).choices[0]?.text ?? "";
    const words = whole.trim().split(/\s+/);
    const stop = words[Math.floor(words.length / 2)] ?? "";
    const completion = await openai.completions.create({ ...STORY, stop });
    assert.equal(completion.choices[0]?.finish_reason, "stop");
    assert.equal(completion.choices[0]?.text, whole.slice(0, whole.indexOf(stop)));
  });

  it("answers bad requests as OpenAI does", async () => {
    await assert.rejects(openai.completions.create({ ...STORY, model: "large" }), (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError);
      assert.equal(error.code, "model_not_found");
      return true;
    });
    await assert.rejects(openai.completions.create({ ...STORY, temperature: 7 }), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.equal(error.param, "temperature");
      assert.equal(error.type, "invalid_request_error");
      return true;
    });
    await assert.rejects(openai.completions.create({ ...STORY, max_tokens: 100_000 }), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.equal(error.code, "context_length_exceeded");
      return true;
    });
    const { max_tokens: _, ...noMessages } = CHAT;
    await assert.rejects(openai.chat.completions.create({ ...noMessages, messages: [] }), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.equal(error.param, "messages");
      return true;
    });
  });

  it("names each answer's trace, which the embedded store has", async () => {
    const { response } = await openai.completions.create(STORY).withResponse();
    const traceId = response.headers.get("x-b3-traceid") ?? "";
    const trace = await new ZipkinClient(`${vitrine.url}/zipkin`).awaitTrace(traceId);
    assert.equal(trace.server.tags?.["http.path"], "/v1/completions");
    assert.equal(trace.named("detokenize").parentId, trace.named("model.generate").id);
  });
});
