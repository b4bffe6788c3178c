import assert from "node:assert/strict";
import { once } from "node:events";
import { createConnection } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import type { Tokenizer } from "../../src/runtime/text/tokenizer.js";
import type { ErrorBody } from "../../src/server/error-response.js";
import type { FakeRequest } from "../support/fake-engine.js";
import { byteTokenizer, LIMITS, ServerHarness, sseData } from "../support/server-harness.js";

interface Completion {
  readonly choices: readonly { readonly text: string; readonly finish_reason: string | null }[];
  readonly usage?: { readonly completion_tokens: number } | null;
}

const json = async (response: Response): Promise<Completion> => (await response.json()) as Completion;
const errorOf = async (response: Response): Promise<ErrorBody["error"]> => ((await response.json()) as ErrorBody).error;
const textOf = (events: readonly unknown[]): string =>
  events
    .filter((event): event is Completion => typeof event === "object" && event !== null && "choices" in event)
    .map(({ choices }) => choices[0]?.text ?? "")
    .join("");

/** Reads until `text` has come. */
async function readUntil(reader: ReadableStreamDefaultReader<Uint8Array>, text: string): Promise<string> {
  let read = "";
  while (!read.includes(text)) {
    const { done, value } = await reader.read();
    assert.ok(!done, `the stream ended before ${text}: ${read}`);
    read += Buffer.from(value).toString();
  }
  return read;
}

const WHOLE_STORY = [
  "generating",
  "tokenized",
  "observe admitted",
  "observe prefilled",
  "observe token",
  "observe token",
  "observe ended",
  "wrote",
  "finish",
];

describe("server: the life of a request", () => {
  let harness: ServerHarness;
  beforeEach(async () => {
    harness = await ServerHarness.start();
  });
  afterEach(() => harness.stop());

  it("sends a whole answer, and traces it in order and without gaps", async () => {
    harness.engine.play = (fake) => fake.admit().prefill().text("ok").finish("length");
    const answer = await json(await harness.complete());
    assert.deepEqual(answer.choices[0], { text: "ok", index: 0, logprobs: null, finish_reason: "length" });
    assert.equal(answer.usage?.completion_tokens, 2);
    const [trace] = harness.tracing.traces;
    const finish = await trace?.finished;
    assert.deepEqual(trace?.story, WHOLE_STORY);
    assert.equal(finish?.status, 200);
    assert.equal(finish?.error, undefined);
    assert.equal(trace?.writing?.name, "detokenize");
    assert.equal(trace?.writing?.end, finish?.at);
  });

  it("asks for the steps of requests whose traces are recorded, where steps are wanted", async () => {
    const asked: boolean[] = [];
    for (const [recordSteps, recorded] of [
      [true, true],
      [true, false],
      [false, true],
    ] as const) {
      const other = await ServerHarness.start({ recordSteps });
      other.tracing.recorded = recorded;
      other.engine.play = (fake) => void fake.admit().prefill().text("ok").finish("length");
      await json(await other.complete());
      asked.push(...other.engine.requests.map(({ request }) => request.recordSteps));
      await other.stop();
    }
    assert.deepEqual(asked, [true, false, false]);
  });

  it("streams an answer as it comes", async () => {
    const response = harness.complete({ stream: true });
    const fake = await harness.engine.nextRequest();
    fake.admit().prefill().text("a");
    const { headers, body, status } = await response;
    assert.equal(status, 200);
    assert.match(headers.get("content-type") ?? "", /^text\/event-stream/);
    assert.equal(headers.get("x-b3-traceid"), harness.tracing.traces[0]?.traceId);
    assert.ok(headers.get("x-request-id"));
    const reader = body?.getReader();
    assert.ok(reader);
    let read = await readUntil(reader, '"text":"a"');
    fake.text("b");
    read += await readUntil(reader, '"text":"b"');
    fake.finish("stop");
    read += await readUntil(reader, "[DONE]");
    const events = sseData(read);
    assert.equal(textOf(events), "ab");
    assert.deepEqual(
      events.map((event) => (event === "[DONE]" ? event : (event as Completion).choices[0]?.finish_reason)),
      [null, null, "stop", "[DONE]"],
    );
    const [trace] = harness.tracing.traces;
    const finish = await trace?.finished;
    assert.deepEqual(trace?.story, WHOLE_STORY);
    assert.equal(trace?.writing?.name, "stream");
    assert.equal(trace?.writing?.chunks, 4);
    assert.equal(trace?.writing?.end, finish?.at);
  });

  it("ends at a stop string that crosses tokens, without sending any of it", async () => {
    for (const stream of [false, true]) {
      const response = harness.complete({
        stop: ["\n\n", "END"],
        stream,
        stream_options: stream ? { include_usage: true } : null,
      });
      const fake = await harness.engine.nextRequest();
      fake.admit().prefill().text("a E").text("N");
      await turn();
      fake.text("Db");
      const text = await (await response).text();
      const events = stream ? sseData(text) : [JSON.parse(text) as Completion];
      assert.equal(textOf(events), "a ");
      assert.ok(text.includes('"finish_reason":"stop"'));
      assert.ok(text.includes('"completion_tokens":5'), "tokens up to the match count");
      assert.equal(fake.stops, 1);
      const trace = harness.tracing.traces.at(-1);
      await trace?.finished;
      assert.equal(trace?.story.filter((name) => name === "observe token").length, 5);
      assert.ok(trace?.story.includes("observe ended"), "the trace waits for the engine's part");
    }
  });

  it("gives back text held for a stop string that never came, and keeps characters whole", async () => {
    harness.engine.play = (fake) => fake.admit().prefill().text("zebra 🦓 EN").finish("length");
    const events = sseData(await (await harness.complete({ stop: "END", stream: true })).text());
    assert.equal(textOf(events), "zebra 🦓 EN");
    assert.equal((await json(await harness.complete({ stop: "END" }))).choices[0]?.text, "zebra 🦓 EN");
  });

  it("lets a completion continue its prompt's text, and a chat answer start its own", async () => {
    const continued: number[] = [];
    const tokenizer: Tokenizer = {
      ...byteTokenizer,
      stream(prompt = []) {
        continued.push(prompt.length);
        return byteTokenizer.stream();
      },
    };
    const other = await ServerHarness.start({ tokenizer });
    other.engine.play = (fake) => fake.admit().prefill().text("ok").finish();
    await other.openai.completions.create({ model: "fake", prompt: "Hi!" });
    await other.openai.chat.completions.create({ model: "fake", messages: [{ role: "user", content: "Hi!" }] });
    assert.deepEqual(continued, [3, 0]);
    await other.stop();
  });

  it("answers an empty generation", async () => {
    harness.engine.play = (fake) => fake.admit().prefill().finish("stop");
    assert.equal((await json(await harness.complete())).choices[0]?.text, "");
    const events = sseData(await (await harness.chat({ stream: true })).text());
    assert.equal(events.length, 3, "role, finish reason, [DONE]");
  });

  it("cancels when the client goes, streaming or not, and traces what was done until then", async () => {
    for (const stream of [true, false]) {
      const controller = new AbortController();
      const response = harness.complete({ stream }, { signal: controller.signal }).catch(() => undefined);
      const fake = await harness.engine.nextRequest();
      fake.admit().prefill().text("a");
      if (stream) await response;
      controller.abort();
      const trace = harness.tracing.traces.at(-1);
      const finish = await trace?.finished;
      assert.deepEqual(fake.cancels, ["client_gone"]);
      assert.equal(finish?.error?.code, "client_closed");
      assert.equal(finish?.status, stream ? 200 : 499);
      assert.equal(trace?.story.at(-2), "observe ended");
      assert.equal(harness.log.at(-1)?.outcome, "client_closed");
    }
  });

  it("ends the trace of a client that goes while sending its body, or before its tokens are asked for", async () => {
    const socket = createConnection({ port: harness.port, host: "127.0.0.1" });
    await once(socket, "connect");
    socket.write(harness.rawBytes().slice(0, -5));
    while (harness.tracing.traces.length === 0) await turn();
    socket.destroy();
    const finish = await harness.tracing.traces[0]?.finished;
    assert.equal(finish?.error?.code, "client_closed");
    assert.equal(harness.engine.requests.length, 0);
  });

  it("starts model.generate with the request, or, where the body had to be waited for, with the body", async () => {
    const bytes = harness.rawBytes();
    for (const at of [bytes.length, bytes.length - 5]) {
      const socket = createConnection({ port: harness.port, host: "127.0.0.1" });
      await once(socket, "connect");
      const number = harness.tracing.traces.length;
      socket.write(bytes.slice(0, at));
      while (harness.tracing.traces.length === number) await turn();
      await turn();
      socket.write(bytes.slice(at));
      (await harness.engine.nextRequest()).admit().prefill().finish();
      const trace = harness.tracing.traces[number];
      await trace?.finished;
      const start = trace?.calls.flatMap((call) => (call.name === "generating" ? [call.args[0]] : []))[0];
      assert.ok(trace !== undefined && start !== undefined);
      assert.equal(start === trace.incoming.start, at === bytes.length);
      socket.destroy();
    }
  });

  it("tells an engine's failure by status before the stream, by an error event within it", async () => {
    const lost = { code: "engine_lost", message: "The engine was killed." } as const;
    for (const stream of [true, false]) {
      const response = harness.complete({ stream });
      (await harness.engine.nextRequest()).admit().fail(lost);
      assert.equal((await response).status, 503);
      assert.equal((await errorOf(await response)).code, "engine_lost");
      assert.equal((await harness.tracing.traces.at(-1)?.finished)?.error?.code, "engine_lost");
    }
    const response = harness.complete({ stream: true });
    (await harness.engine.nextRequest()).admit().prefill().text("ab").fail(lost);
    const events = sseData(await (await response).text());
    assert.equal(textOf(events), "ab");
    assert.deepEqual(events.at(-1), {
      error: { message: "The engine was killed.", type: "server_error", param: null, code: "engine_lost" },
    });
    assert.ok(!events.includes("[DONE]"));
    const finish = await harness.tracing.traces.at(-1)?.finished;
    assert.deepEqual([finish?.status, finish?.error?.code], [200, "engine_lost"]);
  });

  it("keeps pipelined requests in order, and cancels them all when the connection closes", async () => {
    const socket = await harness.rawRequest({ max_tokens: 1 });
    socket.write(harness.rawBytes({ max_tokens: 2 }) + harness.rawBytes({ max_tokens: 3, stream: true }));
    let read = "";
    socket.setEncoding("utf8").on("data", (data: string) => {
      read += data;
    });
    const first = await harness.engine.nextRequest();
    const second = await harness.engine.nextRequest();
    const third = await harness.engine.nextRequest();
    third.admit().prefill().text("3");
    second.admit().prefill().text("2").finish();
    await turn();
    assert.equal(read, "", "the first answer goes first");
    first.admit().prefill().text("1").finish();
    while (!read.includes('"text":"3"')) await turn();
    assert.ok(read.indexOf('"text":"1"') < read.indexOf('"text":"2"'));
    assert.ok(read.indexOf('"text":"2"') < read.indexOf('"text":"3"'));
    socket.write(harness.rawBytes());
    const fourth = await harness.engine.nextRequest();
    socket.destroy();
    const finishes = await Promise.all(harness.tracing.traces.map(({ finished }) => finished));
    assert.deepEqual(
      finishes.map(({ error }) => error?.code),
      [undefined, undefined, "client_closed", "client_closed"],
    );
    assert.deepEqual([third.cancels, fourth.cancels], [["client_gone"], ["client_gone"]]);
  });
});

/** Tokens that fill the sockets' buffers fast: 64 KiB of text each. */
const WIDE = 64 * 1024;
/** Characters that nothing else in a stream has. */
const MARKS = "~^|#";
const wideTokenizer: Tokenizer = {
  ...byteTokenizer,
  stream: () => ({ push: (id) => String.fromCharCode(id).repeat(WIDE), flush: () => "" }),
};

describe("server: a client that does not read", () => {
  it("gets what waited as one chunk, with nothing lost", async () => {
    const harness = await ServerHarness.start({ tokenizer: wideTokenizer });
    const socket = await harness.rawRequest({ stream: true });
    socket.pause();
    const fake = (await harness.engine.nextRequest()).admit().prefill();
    const tokens = 400;
    for (let i = 0; i < tokens; i++) {
      fake.token(MARKS.charCodeAt(i % MARKS.length));
      await turn();
    }
    const counts = new Map<number, number>();
    let end = "";
    socket.on("data", (data: Buffer) => {
      for (const byte of data) counts.set(byte, (counts.get(byte) ?? 0) + 1);
      end = (end + data.toString("latin1")).slice(-100);
    });
    socket.resume();
    const received = (i: number): number => (counts.get(MARKS.charCodeAt(i)) ?? 0) / WIDE;
    // What waited comes although the engine says nothing more.
    while (received(3) < tokens / MARKS.length) await once(socket, "data");
    fake.finish();
    while (!end.includes("[DONE]")) await once(socket, "data");
    assert.deepEqual([0, 1, 2, 3].map(received), Array(4).fill(tokens / MARKS.length));
    const [trace] = harness.tracing.traces;
    await trace?.finished;
    const { chunks } = trace?.writing ?? {};
    assert.ok(chunks !== undefined && chunks < tokens / 2, `chunks were joined: ${chunks}`);
    socket.destroy();
    await harness.stop();
  });

  it("loses its connection when the time is up", async () => {
    const harness = await ServerHarness.start({
      tokenizer: wideTokenizer,
      limits: { ...LIMITS, requestTimeoutMs: 300 },
    });
    const socket = await harness.rawRequest({ stream: true });
    socket.pause().on("error", () => {});
    const fake = (await harness.engine.nextRequest()).admit().prefill();
    for (let i = 0; i < 400; i++) fake.token(97);
    fake.finish();
    const [trace] = harness.tracing.traces;
    const finish = await trace?.finished;
    assert.equal(finish?.error?.code, "request_timeout");
    socket.destroy();
    await harness.stop();
  });
});

describe("server: limits in time and number", () => {
  it("answers 504 after the timeout, or ends the stream with an error event, and cancels", async () => {
    const harness = await ServerHarness.start({ limits: { ...LIMITS, requestTimeoutMs: 40 } });
    const whole = await harness.complete();
    assert.equal(whole.status, 504);
    assert.equal((await errorOf(whole)).code, "request_timeout");
    const streaming = harness.complete({ stream: true });
    const waiting = await harness.engine.nextRequest();
    const fake = (await harness.engine.nextRequest()).admit().prefill().text("a");
    const events = sseData(await (await streaming).text());
    assert.deepEqual((events.at(-1) as ErrorBody).error.code, "request_timeout");
    assert.deepEqual([waiting.cancels, fake.cancels], [["timeout"], ["timeout"]]);
    await harness.stop();
    assert.deepEqual(
      await Promise.all(harness.tracing.traces.map(async ({ finished }) => (await finished).status)),
      [504, 200],
    );
  });

  it("refuses with 429 when the queue is full, before tokenizing", async () => {
    const harness = await ServerHarness.start({ limits: { ...LIMITS, maxInFlight: 1 } });
    const first = harness.complete();
    const fake = await harness.engine.nextRequest();
    const second = await harness.complete({ temperature: "not even read" });
    assert.equal(second.status, 429);
    assert.equal(second.headers.get("retry-after"), "1");
    const error = await errorOf(second);
    assert.deepEqual([error.code, error.type], ["queue_full", "rate_limit_error"]);
    assert.equal((await fetch(`${harness.url}/ready`)).status, 503);
    assert.deepEqual(harness.tracing.traces[1]?.story, ["finish"]);
    fake.admit().prefill().finish();
    assert.equal((await first).status, 200);
    assert.equal((await fetch(`${harness.url}/ready`)).status, 200);
    await harness.stop();
  });

  it("serves 100 at once, each its own answer", async () => {
    const harness = await ServerHarness.start();
    harness.engine.play = async (fake) => {
      fake.admit().prefill();
      for (const byte of [...fake.request.prompt].reverse()) {
        await turn();
        fake.token(byte);
      }
      fake.finish();
    };
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const stream = i % 2 === 0;
        const text = await (await harness.complete({ prompt: `prompt-${i}`, stream })).text();
        return textOf(stream ? sseData(text) : [JSON.parse(text) as Completion]);
      }),
    );
    assert.deepEqual(
      answers,
      answers.map((_, i) => [...`prompt-${i}`].reverse().join("")),
    );
    assert.equal(harness.engine.inFlight, 0);
    await harness.stop();
    assert.equal(harness.tracing.traces.length, 100);
  });
});

describe("server: shutting down", () => {
  const started = async (
    harness: ServerHarness,
    fields: object = {},
  ): Promise<readonly [Promise<Response>, FakeRequest]> => {
    const response = harness.complete(fields);
    return [response, (await harness.engine.nextRequest()).admit().prefill().text("a")];
  };

  it("drains: running requests finish, new ones get 503, probes still answer", async () => {
    const harness = await ServerHarness.start();
    const [response, fake] = await started(harness);
    const drained = harness.server.drain(60_000);
    const refused = await harness.complete();
    assert.equal(refused.status, 503);
    assert.equal(refused.headers.get("connection"), "close");
    assert.equal(refused.headers.get("retry-after"), "1");
    assert.equal((await errorOf(refused)).code, "draining");
    assert.equal((await fetch(`${harness.url}/ready`)).status, 503);
    assert.equal((await fetch(`${harness.url}/health`)).status, 200);
    fake.finish();
    assert.equal((await response).status, 200);
    await drained;
    await harness.stop();
  });

  it("cancels what outlasts the drain, each told in its own way", async () => {
    const harness = await ServerHarness.start();
    const [whole, first] = await started(harness);
    const [streaming, second] = await started(harness, { stream: true });
    await streaming;
    await harness.server.drain(1);
    assert.equal((await whole).status, 503);
    assert.equal((await errorOf(await whole)).code, "draining");
    const events = sseData(await (await streaming).text());
    assert.equal((events.at(-1) as ErrorBody).error.code, "draining");
    assert.deepEqual([first.cancels, second.cancels], [["drain"], ["drain"]]);
    await harness.stop();
  });

  it("ends every request at close, even when the engine never answers", async () => {
    const harness = await ServerHarness.start();
    harness.engine.obeys = false;
    const [response] = await started(harness);
    const failed = response.catch((error: unknown) => error);
    await harness.stop();
    assert.ok((await failed) instanceof Error);
    assert.equal((await harness.tracing.traces[0]?.finished)?.error?.code, "client_closed");
  });
});
