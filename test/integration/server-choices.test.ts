import assert from "node:assert/strict";
import type OpenAI from "openai";
import type { PositionLogprobs } from "../../src/protocol.js";
import type { ErrorBody } from "../../src/server/error-response.js";
import type { FakeRequest } from "../support/fake-engine.js";
import { ServerHarness, sseData } from "../support/server-harness.js";

type Completion = OpenAI.Completion;
type Chat = OpenAI.ChatCompletion;

const json = async <T>(response: Promise<Response>): Promise<T> => (await (await response).json()) as T;
const errorOf = async (response: Promise<Response>): Promise<ErrorBody["error"]> =>
  (await json<ErrorBody>(response)).error;

/** Answers with the prompt, each character after it, and the request's place among its like. */
const echoing = (fake: FakeRequest): void => {
  const prompt = Buffer.from(fake.request.prompt).toString();
  fake.admit().prefill().text(`${prompt}!`).finish("length");
};

const likely = (
  token: number,
  logprob: number,
  ...others: readonly (readonly [number, number])[]
): PositionLogprobs => {
  return { token, logprob, top: others.map(([other, its]) => ({ token: other, logprob: its })) };
};

const code = (character: string): number => character.charCodeAt(0);

describe("server: several choices", () => {
  let harness: ServerHarness;
  beforeEach(async () => {
    harness = await ServerHarness.start();
  });
  afterEach(() => harness.stop());

  it("are requests of one prompt with seeds of their own, in one answer and one trace", async () => {
    harness.engine.play = (fake) => {
      fake
        .admit(1)
        .prefill()
        .text("abc".slice(fake.request.sampling.seed - 7))
        .finish(fake.request.sampling.seed === 8 ? "stop" : "length");
    };
    const answer = await json<Completion>(harness.complete({ n: 3, seed: 7 }));
    assert.deepEqual(
      answer.choices.map(({ index, text, finish_reason }) => [index, text, finish_reason]),
      [
        [0, "abc", "length"],
        [1, "bc", "stop"],
        [2, "c", "length"],
      ],
    );
    const { usage } = answer;
    assert.deepEqual([usage?.prompt_tokens, usage?.completion_tokens, usage?.total_tokens], [2, 6, 8]);
    assert.equal(usage?.prompt_tokens_details?.cached_tokens, 1, "a prompt counts once");
    const ids = harness.engine.requests.map(({ id }) => id);
    assert.equal(new Set(ids).size, 3);
    const [trace] = harness.tracing.traces;
    await trace?.finished;
    assert.equal(harness.tracing.traces.length, 1);
    assert.deepEqual(
      trace?.attributes?.choices,
      ids.map((id, index) => ({ id, seed: 7 + index })),
    );
    assert.equal(trace?.attributes?.n, 3);
    assert.equal(trace?.story.filter((name) => name === "observe ended").length, 3);
  });

  it("keep the one choice's request as it is", async () => {
    harness.engine.play = echoing;
    const { id } = await json<Completion>(harness.complete());
    assert.equal(harness.engine.requests[0]?.id, id);
    assert.equal(harness.tracing.traces[0]?.attributes?.choices, undefined);
  });

  it("may be greedy, and end their seeds below 2^53", async () => {
    harness.engine.play = echoing;
    await json<Chat>(harness.chat({ n: 3, temperature: 0, seed: -2 }));
    assert.deepEqual(
      harness.engine.requests.map(({ request }) => request.sampling.seed),
      [Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER, 0],
    );
  });

  it("answer several prompts, each choice by its index", async () => {
    harness.engine.play = echoing;
    const prompt = ["one", "four"];
    const answer = await json<Completion>(harness.complete({ prompt, n: 2, seed: 5 }));
    assert.deepEqual(
      answer.choices.map(({ index, text }) => [index, text]),
      [
        [0, "one!"],
        [1, "one!"],
        [2, "four!"],
        [3, "four!"],
      ],
    );
    assert.deepEqual(
      harness.engine.requests.map(({ request }) => request.sampling.seed),
      [5, 6, 5, 6],
      "a prompt's answers do not depend on the prompts beside it",
    );
    assert.equal(answer.usage?.prompt_tokens, 7);
    const ids = await json<Completion>(harness.complete({ prompt: [[97], [98, 99]] }));
    assert.deepEqual(
      ids.choices.map(({ text }) => text),
      ["a!", "bc!"],
    );
  });

  it("name the prompt at fault", async () => {
    const param = async (prompt: unknown) => (await errorOf(harness.complete({ prompt }))).param;
    assert.equal(await param(["good", "x".repeat(300)]), "prompt[1]");
    assert.equal(await param(["good", ""]), "prompt[1]");
    assert.equal(await param([[1], [2, 999]]), "prompt[1][1]");
    assert.equal(harness.engine.requests.length, 0);
  });

  it("stream side by side, with usage once", async () => {
    const response = harness.chat({ n: 2, stream: true, stream_options: { include_usage: true } });
    const one = await harness.engine.nextRequest();
    const two = await harness.engine.nextRequest();
    two.admit().prefill().text("b");
    one.admit().prefill().text("a");
    two.text("B").finish("length");
    one.text("A").finish("stop");
    const events = sseData(await (await response).text());
    assert.equal(events.at(-1), "[DONE]");
    const chunks = events.slice(0, -1) as OpenAI.ChatCompletionChunk[];
    const text = ["", ""];
    const said: unknown[] = [];
    for (const { choices } of chunks) {
      for (const { index, delta, finish_reason } of choices) {
        text[index] += delta.content ?? "";
        if (delta.role) said.push([index, delta.role]);
        if (finish_reason) said.push([index, finish_reason]);
      }
    }
    assert.deepEqual(text, ["aA", "bB"]);
    assert.deepEqual(said, [
      [1, "assistant"],
      [0, "assistant"],
      [1, "length"],
      [0, "stop"],
    ]);
    assert.equal(chunks.filter(({ usage }) => usage !== null).length, 1);
    assert.equal(chunks.at(-1)?.usage?.completion_tokens, 4);
  });

  it("fail together, and the others are not computed to their end", async () => {
    const response = harness.complete({ n: 2 });
    const one = await harness.engine.nextRequest();
    const two = await harness.engine.nextRequest();
    two.admit().prefill().text("b");
    one.admit().fail({ code: "engine_lost", message: "killed" });
    assert.equal((await response).status, 503);
    const [trace] = harness.tracing.traces;
    assert.equal((await trace?.finished)?.error?.code, "engine_lost");
    assert.equal(two.stops, 1);
  });

  it("are all cancelled when the client goes", async () => {
    const controller = new AbortController();
    const response = harness.complete({ n: 2 }, { signal: controller.signal }).catch(() => undefined);
    const one = await harness.engine.nextRequest();
    const two = await harness.engine.nextRequest();
    one.admit().prefill().text("a").finish();
    controller.abort();
    await response;
    await harness.tracing.traces[0]?.finished;
    assert.deepEqual([one.cancels, two.cancels], [[], ["client_gone"]]);
  });

  it("take as many places in the queue as there are of them", async () => {
    const small = await ServerHarness.start({ limits: { maxInFlight: 3, maxPerKey: 0, requestTimeoutMs: 60_000 } });
    const first = small.complete({ n: 2 });
    const running = [await small.engine.nextRequest(), await small.engine.nextRequest()];
    assert.equal((await small.complete({ n: 2 })).status, 429);
    const never = await errorOf(small.complete({ n: 4 }));
    assert.deepEqual([never.param, never.type], ["n", "invalid_request_error"]);
    assert.equal((await errorOf(small.complete({ prompt: ["a", "b", "c", "d"] }))).param, "prompt");
    for (const fake of running) fake.admit().prefill().finish();
    assert.equal((await first).status, 200);
    await small.stop();
  });
});

describe("server: log probabilities", () => {
  let harness: ServerHarness;
  beforeEach(async () => {
    harness = await ServerHarness.start();
  });
  afterEach(() => harness.stop());

  it("of chat, whole: each token of the answer with its bytes and its alternatives", async () => {
    harness.engine.play = (fake) => {
      assert.equal(fake.request.logprobs, 2);
      assert.equal(fake.request.promptLogprobs, undefined);
      fake.admit().prefill();
      fake.token(code("a"), likely(code("a"), -0.5, [code("a"), -0.5], [code("b"), -1]));
      fake.token(code("c"), likely(code("c"), -3, [code("d"), -0.1], [code("e"), Number.NEGATIVE_INFINITY]));
      fake.finish();
    };
    const answer = await json<Chat>(harness.chat({ logprobs: true, top_logprobs: 2 }));
    assert.deepEqual(answer.choices[0]?.logprobs?.content, [
      {
        token: "a",
        logprob: -0.5,
        bytes: [97],
        top_logprobs: [
          { token: "a", logprob: -0.5, bytes: [97] },
          { token: "b", logprob: -1, bytes: [98] },
        ],
      },
      {
        token: "c",
        logprob: -3,
        bytes: [99],
        top_logprobs: [
          { token: "d", logprob: -0.1, bytes: [100] },
          { token: "e", logprob: -9999, bytes: [101] },
        ],
      },
    ]);
  });

  it("are not there unless asked for, and are an empty list for an empty answer", async () => {
    harness.engine.play = (fake) => {
      assert.equal(fake.request.logprobs, undefined);
      fake.admit().prefill().text("a").finish();
    };
    assert.equal((await json<Chat>(harness.chat())).choices[0]?.logprobs, null);
    harness.engine.play = (fake) => fake.admit().prefill().finish();
    const { choices } = await json<Chat>(harness.chat({ logprobs: true }));
    assert.deepEqual(choices[0]?.logprobs?.content, []);
  });

  it("leave with the text they begin: not for a stop string, whole for a character of several tokens", async () => {
    harness.engine.play = (fake) => {
      fake.admit().prefill();
      for (const byte of Buffer.from("é ENDx")) fake.token(byte, likely(byte, -byte));
    };
    for (const stream of [false, true]) {
      const text = await (await harness.complete({ logprobs: 0, stop: "END", stream })).text();
      const answers = (stream ? sseData(text) : [JSON.parse(text)]).filter((answer) => answer !== "[DONE]");
      const choices = (answers as Completion[]).flatMap((answer) => answer.choices);
      assert.equal(choices.map((choice) => choice.text).join(""), "é ");
      const of = <K extends "tokens" | "token_logprobs" | "text_offset">(key: K) =>
        choices.flatMap(({ logprobs }) => (logprobs?.[key] ?? []) as readonly unknown[]);
      assert.deepEqual(of("tokens"), ["bytes:\\xc3", "bytes:\\xa9", " "]);
      assert.deepEqual(of("token_logprobs"), [-0xc3, -0xa9, -32]);
      assert.deepEqual(of("text_offset"), [0, 0, 1]);
      const tops = choices.flatMap(({ logprobs }) => logprobs?.top_logprobs ?? []);
      assert.deepEqual(tops[2], { " ": -32 }, "the token itself is among its alternatives");
    }
  });

  it("of an echoed prompt come first, as evaluation harnesses read them", async () => {
    harness.engine.play = (fake) => {
      assert.equal(fake.request.promptLogprobs, true);
      assert.deepEqual(fake.request.stopTokenIds, [], "they drop the last position: it may be the end, but not absent");
      fake
        .admit()
        .prefill()
        .promptLogprobs()
        .token(code("!"), likely(code("!"), -0.5))
        .finish("length");
    };
    const { choices, usage } = await json<Completion>(
      harness.complete({ prompt: "ab", echo: true, logprobs: 1, max_tokens: 1 }),
    );
    assert.equal(choices[0]?.text, "ab!");
    assert.deepEqual(choices[0]?.logprobs, {
      tokens: ["a", "b", "!"],
      token_logprobs: [null, -98, -0.5],
      top_logprobs: [null, { b: -98 }, { "!": -0.5 }],
      text_offset: [0, 1, 2],
    });
    assert.equal(usage?.completion_tokens, 1);
  });

  it("of a prompt alone: with max_tokens 0 nothing else is in the answer", async () => {
    harness.engine.play = (fake) => {
      assert.equal(fake.request.maxTokens, 1, "the engine makes one at least");
      fake
        .admit()
        .prefill()
        .promptLogprobs()
        .token(code("!"), likely(code("!"), -0.5))
        .finish("length");
    };
    const fields = { prompt: [[97, 98], [99]], echo: true, logprobs: 0, max_tokens: 0 };
    const { choices, usage } = await json<Completion>(harness.complete(fields));
    assert.deepEqual(
      choices.map(({ text, finish_reason, logprobs }) => [text, finish_reason, logprobs?.token_logprobs]),
      [
        ["ab", "length", [null, -98]],
        ["c", "length", [null]],
      ],
    );
    assert.deepEqual([usage?.prompt_tokens, usage?.completion_tokens], [3, 0]);
    await harness.tracing.traces[0]?.finished;
    assert.ok(!harness.tracing.traces[0]?.story.includes("observe token"));
    assert.equal(harness.tracing.traces[0]?.attributes?.maxTokens, 0);
  });

  it("of a long prompt come in parts, and again after a preemption", async () => {
    harness.engine.play = (fake) => {
      fake.admit().promptLogprobs(1, 3).promptLogprobs(3, 5).preempt();
      fake.admit(2).promptLogprobs(3, 6).preempt();
      fake.admit(0).promptLogprobs(1, 4).promptLogprobs(4, 6).prefill().token(33, likely(33, -0.5)).finish("length");
    };
    const fields = { prompt: [1, 2, 3, 4, 5, 6], echo: true, logprobs: 0, max_tokens: 1 };
    const { choices } = await json<Completion>(harness.complete(fields));
    assert.deepEqual(choices[0]?.logprobs?.token_logprobs, [null, -2, -3, -4, -5, -6, -0.5]);
  });

  it("echo also without them, in streams", async () => {
    harness.engine.play = (fake) => fake.admit().prefill().text("!").finish();
    const events = sseData(await (await harness.complete({ prompt: "ab", echo: true, stream: true })).text());
    const texts = events.filter((event) => event !== "[DONE]").map((event) => (event as Completion).choices[0]?.text);
    assert.deepEqual(texts, ["ab", "!", ""]);
  });
});

describe("server: what ends an answer", () => {
  let harness: ServerHarness;
  beforeEach(async () => {
    harness = await ServerHarness.start();
    harness.engine.play = (fake) => fake.admit().prefill().text("aENDbENDc").finish("length");
  });
  afterEach(() => harness.stop());
  const text = async (fields: object) => (await json<Completion>(harness.complete(fields))).choices[0]?.text;

  it("is a stop string, kept where that is asked for", async () => {
    assert.equal(await text({ stop: "END" }), "a");
    assert.equal(await text({ stop: "END", include_stop_str_in_output: true }), "aEND");
  });

  it("is no stop string that begins before min_tokens", async () => {
    assert.equal(await text({ stop: "END", min_tokens: 2 }), "aENDb");
    assert.equal(await text({ stop: "END", min_tokens: 9 }), "aENDbENDc");
    assert.equal(harness.engine.requests[0]?.request.sampling.minTokens, 2);
  });

  it("is the model's end or one of stop_token_ids, as asked", async () => {
    const ids = async (fields: object) => {
      await text(fields);
      return harness.engine.requests.at(-1)?.request.stopTokenIds;
    };
    assert.deepEqual(await ids({}), [256]);
    assert.deepEqual(await ids({ stop_token_ids: [5, 6] }), [256, 5, 6]);
    assert.deepEqual(await ids({ ignore_eos: true }), []);
    assert.deepEqual(await ids({ ignore_eos: true, stop_token_ids: [5] }), [5]);
  });

  it("has to be possible: ids of the model, and no more tokens at least than at most", async () => {
    const param = async (fields: object) => (await errorOf(harness.complete(fields))).param;
    assert.equal(await param({ stop_token_ids: [1, 257] }), "stop_token_ids[1]");
    assert.equal(await param({ logit_bias: { 3: 1, 257: 1 } }), "logit_bias.257");
    assert.equal(await param({ min_tokens: 17 }), "min_tokens");
    assert.equal(await param({ min_tokens: 5, max_tokens: 4 }), "min_tokens");
  });
});

describe("server: cached tokens", () => {
  it("are those of the first admission, not what a preempted request finds again", async () => {
    const harness = await ServerHarness.start();
    harness.engine.play = (fake) => {
      fake.admit(3).prefill().text("a").preempt().admit(8).prefill().text("b").finish();
    };
    const { usage } = await json<Chat>(harness.chat());
    assert.equal(usage?.prompt_tokens_details?.cached_tokens, 3);
    await harness.tracing.traces[0]?.finished;
    const metrics = await (await fetch(`${harness.url}/metrics`)).text();
    assert.match(metrics, /^vitrine_cached_prompt_tokens_total 3$/m);
    assert.equal(harness.log.find((line) => "outcome" in line)?.cached_tokens, 3);
    await harness.stop();
  });
});
