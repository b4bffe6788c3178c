/** What users of OpenAI's, vLLM's and llama.cpp's APIs may ask for beyond a prompt, of the real service, by the official client. */
import assert from "node:assert/strict";
import OpenAI from "openai";
import { openaiClient } from "../support/openai-client.js";
import { coverage } from "../support/spans.js";
import { VitrineProcess } from "../support/vitrine-process.js";
import { ZipkinClient } from "../support/zipkin-client.js";

const PROMPT = { model: "tiny", prompt: "Once upon a time" } as const;
const GREEDY = { ...PROMPT, temperature: 0, max_tokens: 20 } as const;
const CHAT = {
  model: "tiny",
  messages: [{ role: "user", content: "Tell me a story." }],
  temperature: 0,
  max_tokens: 20,
} satisfies OpenAI.ChatCompletionCreateParamsNonStreaming;
/** Repetition is rewarded until nothing else is left, the end neither. */
const ENDLESS = { ...PROMPT, temperature: 0, presence_penalty: -2, frequency_penalty: -2, max_tokens: 1000 } as const;

/** Fields that vLLM has and the client's types have not. */
const beyond = <T extends object>(request: T, fields: object): T => ({ ...request, ...fields });

describe("OpenAI client: parameters", function () {
  this.timeout(60_000);
  let vitrine: VitrineProcess;
  let openai: OpenAI;

  before(async () => {
    vitrine = await VitrineProcess.start({ flags: ["--max-per-key", "8"] });
    openai = openaiClient(vitrine.url);
  });
  after(async () => {
    await vitrine?.stop();
  });

  it("n: choices with seeds of their own, in one trace that reads well", async () => {
    const request = { ...PROMPT, temperature: 1.2, max_tokens: 12, n: 3, seed: 11 };
    const { data, response } = await openai.completions.create(request).withResponse();
    assert.deepEqual(
      data.choices.map(({ index }) => index),
      [0, 1, 2],
    );
    assert.ok(new Set(data.choices.map(({ text }) => text)).size > 1);
    const alone = await openai.completions.create({ ...PROMPT, temperature: 1.2, max_tokens: 12, seed: 12 });
    assert.equal(alone.usage?.prompt_tokens, data.usage?.prompt_tokens, "the prompt counts once");
    const trace = await new ZipkinClient(`${vitrine.url}/zipkin`).awaitTrace(
      response.headers.get("x-b3-traceid") ?? "",
    );
    const generate = trace.named("model.generate");
    const choices = trace.childrenOf(generate).filter(({ name }) => name === "choice");
    assert.deepEqual(choices.map(({ tags }) => tags?.["ai.seed"]).sort(), ["11", "12", "13"]);
    assert.ok(coverage(generate, trace.childrenOf(generate)) >= 0.99, `${trace}`);
    for (const choice of choices) {
      const names = trace.childrenOf(choice).map(({ name }) => name);
      for (const name of ["queue", "kv_cache.allocate", "inference.forward"]) assert.ok(names.includes(name), name);
    }
  });

  it("n with streams", async () => {
    const stream = await openai.chat.completions.create({ ...CHAT, n: 2, stream: true });
    const texts = ["", ""];
    for await (const { choices } of stream) {
      for (const { index, delta } of choices) texts[index] += delta.content ?? "";
    }
    assert.match(texts[0] ?? "", /\w/);
    assert.match(texts[1] ?? "", /\w/);
  });

  it("several prompts, each answered as if alone", async () => {
    const prompts = ["Once upon a time", "On a warm day", "The sky was"];
    const together = await openai.completions.create({ ...GREEDY, max_tokens: 4, prompt: prompts });
    assert.equal(together.choices.length, 3);
    for (const [index, prompt] of prompts.entries()) {
      const alone = await openai.completions.create({ ...GREEDY, max_tokens: 4, prompt });
      assert.equal(together.choices[index]?.text, alone.choices[0]?.text);
    }
  });

  it("logit_bias, min_tokens, ignore_eos and stop_token_ids", async () => {
    const plain = await openai.completions.create(GREEDY);
    // Byte-level pieces after four special tokens: 4 is the first of them, "!".
    const biased = await openai.completions.create({ ...GREEDY, max_tokens: 3, logit_bias: { "4": 100 } });
    assert.notEqual(biased.choices[0]?.text, plain.choices[0]?.text);
    assert.match(biased.choices[0]?.text ?? "", /^(.)\1\1$/);
    const stopped = await openai.completions.create(
      beyond({ ...GREEDY, logit_bias: { "4": 100 } }, { stop_token_ids: [4] }),
    );
    assert.deepEqual([stopped.choices[0]?.text, stopped.choices[0]?.finish_reason], ["", "stop"]);
    const atLeast = await openai.completions.create(
      beyond({ ...GREEDY, logit_bias: { "4": 100 } }, { stop_token_ids: [4], min_tokens: 5 }),
    );
    assert.equal(atLeast.usage?.completion_tokens, 5);
    const endless = { ...PROMPT, temperature: 0, max_tokens: 30, logit_bias: { "0": 100 } };
    assert.equal((await openai.completions.create(endless)).usage?.completion_tokens, 0);
    const ignoring = await openai.completions.create(beyond(endless, { ignore_eos: true }));
    assert.equal(ignoring.usage?.completion_tokens, 30);
    await assert.rejects(
      openai.completions.create({ ...GREEDY, logit_bias: { "999999": 1 } }),
      (error) => error instanceof OpenAI.BadRequestError && error.param === "logit_bias.999999",
    );
  });

  it("typical_p, priority and cache_salt are taken", async () => {
    const answer = await openai.completions.create(
      beyond({ ...PROMPT, max_tokens: 8 }, { typical_p: 0.5, priority: 3, cache_salt: "mine" }),
    );
    assert.equal(answer.usage?.completion_tokens, 8);
  });

  it("logprobs of chat: of each token, with the greedy one at the top", async () => {
    const { choices } = await openai.chat.completions.create({ ...CHAT, logprobs: true, top_logprobs: 3 });
    const content = choices[0]?.logprobs?.content ?? [];
    assert.equal(content.length, 20);
    assert.equal(content.map(({ token }) => token).join(""), choices[0]?.message.content);
    for (const { token, logprob, bytes, top_logprobs } of content) {
      assert.ok(logprob <= 0);
      assert.equal(Buffer.from(bytes ?? []).toString(), token);
      assert.equal(top_logprobs.length, 3);
      assert.equal(top_logprobs[0]?.token, token);
      assert.equal(top_logprobs[0]?.logprob, logprob);
      const order = top_logprobs.map((top) => top.logprob);
      assert.deepEqual(
        [...order].sort((a, b) => b - a),
        order,
      );
      assert.ok(order.reduce((sum, one) => sum + Math.exp(one), 0) <= 1 + 1e-6);
    }
  });

  it("logprobs in streams are those of the whole answer", async () => {
    const whole = await openai.chat.completions.create({ ...CHAT, logprobs: true, top_logprobs: 1 });
    const stream = await openai.chat.completions.create({ ...CHAT, logprobs: true, top_logprobs: 1, stream: true });
    const tokens: string[] = [];
    for await (const { choices } of stream) {
      for (const { token } of choices[0]?.logprobs?.content ?? []) tokens.push(token);
    }
    assert.deepEqual(
      tokens,
      whole.choices[0]?.logprobs?.content?.map(({ token }) => token),
    );
  });

  it("echo scores a text as its generation did", async () => {
    const made = await openai.completions.create({ ...GREEDY, logprobs: 0 });
    const [choice] = made.choices;
    const text = PROMPT.prompt + (choice?.text ?? "");
    const scored = await openai.completions.create({ ...PROMPT, prompt: text, echo: true, logprobs: 1, max_tokens: 0 });
    const logprobs = scored.choices[0]?.logprobs;
    assert.equal(scored.choices[0]?.text, text);
    assert.equal(scored.usage?.completion_tokens, 0);
    assert.equal(logprobs?.tokens?.length, scored.usage?.prompt_tokens);
    assert.equal(logprobs?.token_logprobs?.[0], null, "nothing precedes the first token");
    assert.deepEqual(logprobs?.tokens?.slice(-20), choice?.logprobs?.tokens);
    const before = choice?.logprobs?.token_logprobs ?? [];
    for (const [i, logprob] of (logprobs?.token_logprobs?.slice(-20) ?? []).entries()) {
      // A quantized model's logits move a little with the number of rows.
      assert.ok(Math.abs(logprob - (before[i] ?? Number.NaN)) < 0.2, `${i}: ${logprob} and ${before[i]}`);
    }
    const greedy = logprobs?.top_logprobs?.slice(-20) ?? [];
    assert.ok(greedy.every((top, i) => (top[logprobs?.tokens?.at(i - 20) ?? ""] ?? -1) <= 0));
  });

  it("cached_tokens, and nobody else's", async () => {
    const ask = (apiKey: string) =>
      new OpenAI({ baseURL: `${vitrine.url}/v1`, apiKey, maxRetries: 0 }).completions.create({
        ...GREEDY,
        prompt: `${"The quick brown fox sat down. ".repeat(8)}`,
      });
    const cached = async (apiKey: string) => (await ask(apiKey)).usage?.prompt_tokens_details?.cached_tokens;
    assert.equal(await cached("one"), 0);
    assert.ok(((await cached("one")) ?? 0) > 20);
    assert.equal(await cached("two"), 0);
  });

  it("limits a key's answers, and says when to come back", async () => {
    const abort = new AbortController();
    const streams = Array.from({ length: 8 }, () =>
      openai.completions.create({ ...ENDLESS, stream: true }, { signal: abort.signal }),
    );
    // All have been admitted once all have sent something.
    await Promise.all(streams);
    await assert.rejects(openai.completions.create(GREEDY), (error) => {
      assert.ok(error instanceof OpenAI.RateLimitError);
      assert.equal(error.code, "key_limit_reached");
      assert.ok(Number(error.headers?.get("retry-after")) >= 1);
      return true;
    });
    abort.abort();
  });

  it("keeps the deadline that a proxy tells", async () => {
    // A key of its own: the one before may still be at its limit.
    const headers = { "x-envoy-expected-rq-timeout-ms": "20", authorization: "Bearer another" };
    await assert.rejects(
      openai.completions.create(ENDLESS, { headers }),
      (error) => error instanceof OpenAI.APIError && error.status === 504 && error.code === "request_timeout",
    );
  });
});
