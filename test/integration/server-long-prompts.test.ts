/** Prompts that take a thread of their own: other requests go on, and giving up is seen by everybody it concerns. */
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { LongInputEncoder } from "../../src/runtime/text/tokenizer.js";
import { TokenizerThread } from "../../src/runtime/text/tokenizer-thread.js";
import { type ErrorBody, ID_BODY_BYTES } from "../../src/server/error-response.js";
import type { ServerOptions } from "../../src/server/options.js";
import { FAKE_MODEL } from "../support/fake-engine.js";
import { DECODER_CONFIG, temporaryFolders, writeFiles } from "../support/model-fixture.js";
import { byteTokenizer, LIMITS, ServerHarness } from "../support/server-harness.js";
import { byteLevelTokenizer } from "../support/tokenizer-fixture.js";

const SCRIPTED = new URL("../support/scripted-tokenizer-worker.js", import.meta.url);
/** Longer than what is encoded at once; the scripted thread trims it off. */
const PADDING = " ".repeat(5000);

const errorOf = async (response: Response): Promise<ErrorBody["error"]> => ((await response.json()) as ErrorBody).error;

describe("server: long prompts", () => {
  const folder = temporaryFolders();
  let thread: TokenizerThread;
  let harness: ServerHarness;
  const start = async (changes: Partial<ServerOptions> = {}): Promise<ServerHarness> => {
    thread = new TokenizerThread("", SCRIPTED);
    harness = await ServerHarness.start({ longInputs: thread, ...changes });
    return harness;
  };
  afterEach(async () => {
    await harness.stop();
    await thread.close();
  });
  /** A prompt that keeps the thread busy until the test lets it go. */
  const blocked = () => {
    const file = join(folder(), "gate");
    const started = async () => {
      while (!existsSync(`${file}.started`)) await pause(1);
    };
    return { prompt: `block ${file}${PADDING}`, started, release: () => writeFileSync(file, "") };
  };
  const story = () => harness.tracing.traces.at(-1)?.story;
  const tokenizedWith = () =>
    harness.tracing.traces
      .at(-1)
      ?.calls.flatMap((call) => (call.name === "tokenized" ? [[call.args[2], call.args[3]] as const] : []))[0];

  it("keeps streams going while one is tokenized", async () => {
    await start();
    const gate = blocked();
    const streaming = await harness.rawRequest({ stream: true });
    let received = "";
    streaming.on("data", (data: Buffer) => {
      received += data.toString();
    });
    const fake = (await harness.engine.nextRequest()).admit().prefill();
    const long = harness.complete({ prompt: gate.prompt });
    await gate.started();
    for (const letter of "abc") {
      fake.text(letter);
      while (!received.includes(`"text":"${letter}"`)) await pause(1);
    }
    const short = harness.complete({ prompt: "short" });
    const other = await harness.engine.nextRequest();
    assert.equal(Buffer.from(other.request.prompt).toString(), "short");
    assert.equal(harness.engine.requests.length, 2, "the long prompt is still being tokenized");
    gate.release();
    const late = await harness.engine.nextRequest();
    assert.equal(late.request.prompt.length, gate.prompt.trim().length);
    for (const request of [fake, other, late]) request.admit().prefill().finish();
    assert.deepEqual([(await long).status, (await short).status], [200, 200]);
    streaming.destroy();
  });

  it("traces and answers one like any other", async () => {
    await start();
    const chat = harness.chat({ messages: [{ role: "user", content: `four${PADDING}` }] });
    const fake = await harness.engine.nextRequest();
    assert.equal(fake.request.prompt.length, 4);
    fake.admit().prefill().text("ok").finish();
    assert.equal((await chat).status, 200);
    await harness.tracing.traces[0]?.finished;
    assert.deepEqual(story()?.slice(0, 2), ["generating", "tokenized"]);
    assert.deepEqual(tokenizedWith(), [4, undefined]);
  });

  it("encodes a short prompt at once", async () => {
    const untouched: LongInputEncoder = {
      encode: () => assert.fail("a short prompt went to the thread"),
      close: async () => {},
    };
    await start({ longInputs: untouched });
    harness.engine.play = (fake) => fake.admit().prefill().finish();
    assert.equal((await harness.complete({ prompt: "short" })).status, 200);
    assert.equal((await harness.chat()).status, 200);
    assert.equal((await harness.complete({ prompt: [1, 2, 3] })).status, 200);
  });

  it("stops tokenizing for a client that has left", async () => {
    await start();
    const gate = blocked();
    const socket = await harness.rawRequest({ prompt: gate.prompt });
    await gate.started();
    socket.destroy();
    const { status, error } = (await harness.tracing.traces[0]?.finished) ?? {};
    assert.deepEqual([status, error?.code], [499, "client_closed"]);
    assert.deepEqual(story(), ["generating", "tokenized", "finish"]);
    // The gate stays shut: the next one gets another thread.
    harness.engine.play = (fake) => fake.admit().prefill().finish();
    assert.equal((await harness.complete({ prompt: `next${PADDING}` })).status, 200);
    assert.equal(harness.engine.requests.length, 1);
  });

  it("counts tokenizing toward the time a request has", async () => {
    await start({ limits: { ...LIMITS, requestTimeoutMs: 40 } });
    const response = await harness.complete({ prompt: blocked().prompt });
    assert.equal(response.status, 504);
    assert.equal((await errorOf(response)).code, "request_timeout");
    await harness.tracing.traces[0]?.finished;
    assert.deepEqual(story(), ["generating", "tokenized", "finish"]);
    const [tokens, error] = tokenizedWith() ?? [];
    assert.equal(tokens, undefined);
    assert.equal(error?.code, "request_timeout");
    assert.equal(harness.engine.requests.length, 0);
  });

  it("cancels tokenizing when a drain has run out of time", async () => {
    await start();
    const gate = blocked();
    const response = harness.complete({ prompt: gate.prompt });
    await gate.started();
    await harness.server.drain(0);
    assert.equal((await errorOf(await response)).code, "draining");
    assert.equal(harness.engine.requests.length, 0);
  });

  it("makes the thread's end the error of one request, without its text", async () => {
    await start();
    const response = await harness.complete({ prompt: `throw${PADDING}` });
    assert.equal(response.status, 500);
    const error = await errorOf(response);
    assert.equal(error.code, "internal");
    harness.engine.play = (fake) => fake.admit().prefill().finish();
    assert.equal((await harness.complete({ prompt: `next${PADDING}` })).status, 200);
    assert.ok(!JSON.stringify([error, harness.log]).includes("zebra"));
  });

  it("asks for admission again once it is tokenized", async () => {
    await start({ limits: { ...LIMITS, maxInFlight: 1 } });
    const gate = blocked();
    const long = harness.complete({ prompt: gate.prompt });
    await gate.started();
    const short = harness.complete({ prompt: "short" });
    const fake = await harness.engine.nextRequest();
    gate.release();
    assert.equal((await errorOf(await long)).code, "queue_full");
    fake.admit().prefill().finish();
    assert.equal((await short).status, 200);
  });

  it("refuses a hopeless prompt before it is tokenized", async () => {
    const untouched: LongInputEncoder = {
      encode: () => assert.fail("a hopeless prompt was tokenized"),
      close: async () => {},
    };
    const tokenizer = { ...byteTokenizer, leastTokens: (text: string) => Math.floor(text.length / 100) };
    await start({ longInputs: untouched, tokenizer });
    const response = await harness.complete({ prompt: "long prompt ".repeat(900_000) });
    assert.equal(response.status, 400);
    const error = await errorOf(response);
    assert.deepEqual([error.code, error.param], ["context_length_exceeded", "prompt"]);
    assert.match(error.message, new RegExp(`${FAKE_MODEL.contextLength - 1} tokens`));
    await harness.tracing.traces[0]?.finished;
    assert.deepEqual(story(), ["generating", "tokenized", "finish"]);
  });

  it("tells 10 MB of text and of messages that they exceed the context", async () => {
    const directory = writeFiles(folder(), {
      "config.json": DECODER_CONFIG,
      "tokenizer.json": byteLevelTokenizer(),
      "tokenizer_config.json": { chat_template: "{% for m in messages %}{{ m.content }}{% endfor %}" },
    });
    const real = new TokenizerThread(directory);
    await start({ longInputs: real });
    // Escapes make the body three times as large.
    const text = "hello\n\t\n".repeat(1_300_000);
    const prompt = await harness.complete({ prompt: text });
    assert.deepEqual([prompt.status, (await errorOf(prompt)).code], [400, "context_length_exceeded"]);
    const chat = await harness.chat({ messages: [{ role: "user", content: text }] });
    const error = await errorOf(chat);
    assert.deepEqual([error.code, error.param], ["context_length_exceeded", "messages"]);
    await real.close();
  }).timeout(60_000);

  it("does not parse millions of token ids", async () => {
    await start();
    const ids = `[${"1,".repeat(ID_BODY_BYTES / 2)}1]`;
    const many = await harness.post("/v1/completions", `{"model": "fake", "prompt" : [ ${ids} ]}`);
    assert.equal(many.status, 413);
    assert.match((await errorOf(many)).message, /token ids/);
    const text = await harness.complete({ prompt: `"prompt": [1, 2] ${"x".repeat(ID_BODY_BYTES)}` });
    assert.notEqual(text.status, 413);
  });
});

describe("server: a model's sampling defaults", () => {
  it("samples with them, and says so in the trace", async () => {
    const harness = await ServerHarness.start({ samplingDefaults: { temperature: 0.6, top_k: 20 } });
    harness.engine.play = (fake) => fake.admit().prefill().finish();
    await harness.complete({});
    await harness.complete({ temperature: 0 });
    assert.deepEqual(
      harness.engine.requests.map(({ request }) => [request.sampling.temperature, request.sampling.topK]),
      [
        [0.6, 20],
        [0, 20],
      ],
    );
    assert.deepEqual(
      harness.tracing.traces.map(({ attributes }) => attributes?.sampling.temperature),
      [0.6, 0],
    );
    await harness.stop();
  });
});
