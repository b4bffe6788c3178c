/** What a client sees when a part of the real service ends, dies or hangs. */
import assert from "node:assert/strict";
import { createServer, type Server } from "node:net";
import OpenAI from "openai";
import { openaiClient } from "../support/openai-client.js";
import type { Trace } from "../support/spans.js";
import { VitrineProcess } from "../support/vitrine-process.js";
import { ZipkinClient } from "../support/zipkin-client.js";

const PROMPT = { model: "tiny", prompt: "Once upon a time" } as const;
const STORY = { ...PROMPT, temperature: 0, max_tokens: 60 } as const;
/** Repetition is rewarded until nothing else is left, the end neither: this runs to its last token. */
const ENDLESS = { ...PROMPT, temperature: 0, presence_penalty: -2, frequency_penalty: -2, max_tokens: 1500 } as const;
describe("a server's end", function () {
  this.timeout(60_000);

  it("lets a running stream finish after SIGTERM, and refuses new requests", async () => {
    const vitrine = await VitrineProcess.start();
    const openai = openaiClient(vitrine.url);
    const stream = await openai.completions.create({ ...ENDLESS, max_tokens: 700, stream: true });
    let finish: string | undefined;
    let refused: unknown;
    for await (const chunk of stream) {
      finish = chunk.choices[0]?.finish_reason ?? finish;
      if (refused !== undefined) continue;
      vitrine.signal("SIGTERM");
      await vitrine.until("it drains", async () => (await fetch(`${vitrine.url}/ready`)).status === 503);
      refused = await openai.completions.create(STORY).catch((error: unknown) => error);
    }
    assert.equal(finish, "length");
    assert.ok(refused instanceof OpenAI.APIError);
    assert.equal(refused.status, 503);
    assert.deepEqual(await vitrine.exited, { code: 0, signal: null });
  });

  it("cancels what runs at a second signal, and says so to its client", async () => {
    const vitrine = await VitrineProcess.start();
    const stream = await openaiClient(vitrine.url).completions.create({ ...ENDLESS, max_tokens: 1500, stream: true });
    let signalled = false;
    await assert.rejects(async () => {
      for await (const _chunk of stream) {
        if (signalled) continue;
        signalled = true;
        vitrine.signal("SIGTERM");
        await vitrine.until("it drains", async () => (await fetch(`${vitrine.url}/ready`)).status === 503);
        // The same signal at once would count as an echo of the first.
        vitrine.signal("SIGINT");
      }
    }, OpenAI.APIError);
    assert.deepEqual(await vitrine.exited, { code: 0, signal: null });
    assert.ok(
      vitrine.output.some((line) => line.includes('"outcome":"draining"')),
      vitrine.output.join("\n"),
    );
  });

  it("goes on serving when nobody reads its output any more", async () => {
    const vitrine = await VitrineProcess.start();
    vitrine.closeOutput();
    await openaiClient(vitrine.url).completions.create(STORY);
    assert.deepEqual(await vitrine.stop(), { code: 0, signal: null });
  });

  it("takes its engine with it, even when killed", async () => {
    const vitrine = await VitrineProcess.start();
    const { enginePid } = vitrine;
    await vitrine.kill();
    for (const deadline = Date.now() + 10_000; isAlive(enginePid); ) {
      assert.ok(Date.now() < deadline, "the engine outlived its server");
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  });
});

/** A stream that is read as it comes. */
class RunningStream {
  readonly traceId: string;
  chunks = 0;
  /** What ended it; undefined when it came to its end. */
  readonly error: Promise<unknown>;

  private constructor(traceId: string | null, chunks: AsyncIterable<unknown>) {
    this.traceId = traceId ?? "";
    this.error = (async () => {
      for await (const _ of chunks) this.chunks++;
    })().then(
      () => undefined,
      (error: unknown) => error,
    );
  }

  static async start(openai: OpenAI, fields: { readonly max_tokens?: number } = {}): Promise<RunningStream> {
    const request = openai.completions.create({ ...ENDLESS, ...fields, stream: true });
    const { data, response } = await request.withResponse();
    return new RunningStream(response.headers.get("x-b3-traceid"), data);
  }
}

function assertLost(error: unknown): void {
  assert.ok(error instanceof OpenAI.APIError, String(error));
  assert.equal(error.code, "engine_lost");
  assert.match(error.message, /engine process was killed by SIGKILL/);
}

/** What `/health` says of the engine, or of one of several. */
interface EngineHealth {
  readonly state: string;
  readonly provider?: string;
}

async function health(vitrine: VitrineProcess): Promise<{ engine: EngineHealth; devices: readonly EngineHealth[] }> {
  const response = await fetch(`${vitrine.url}/health`);
  assert.equal(response.status, 200);
  return (await response.json()) as { engine: EngineHealth; devices: readonly EngineHealth[] };
}

describe("a lost engine", function () {
  this.timeout(60_000);
  const STREAMS = 4;
  let vitrine: VitrineProcess;
  let openai: OpenAI;
  let store: ZipkinClient;
  let streams: readonly RunningStream[];
  let killed: number;

  before(async () => {
    vitrine = await VitrineProcess.start();
    openai = openaiClient(vitrine.url);
    store = new ZipkinClient(`${vitrine.url}/zipkin`);
    streams = await Promise.all(Array.from({ length: STREAMS }, () => RunningStream.start(openai)));
    await vitrine.until("all streams decode", () => streams.every(({ chunks }) => chunks >= 2));
    killed = vitrine.enginePid;
    process.kill(killed, "SIGKILL");
  });

  after(async () => {
    await vitrine?.stop();
  });

  it("ends each of its requests with a clear error", async () => {
    for (const stream of streams) assertLost(await stream.error);
  });

  it("leaves the server answering", async () => {
    assert.notEqual((await health(vitrine)).engine.state, "failed");
    await vitrine.until(
      "the restart is counted",
      async () => (await metric(vitrine, /^vitrine_engine_restarts/)) === 1,
    );
  });

  it("says so in their traces: the request, and the decode step that was cut off", async () => {
    for (const { traceId } of streams) {
      const trace = await store.awaitTrace(traceId);
      const cut = trace.named("inference.forward", { "ai.phase": "decode" });
      for (const span of [trace.server, trace.named("model.generate"), cut]) {
        assert.equal(span.tags?.["error.type"], "engine_lost");
        assert.match(span.tags?.error ?? "", /engine process was killed by SIGKILL/);
      }
      assert.equal(trace.named("model.generate").tags?.["ai.outcome"], "failed");
      assert.equal(cut.tags?.["ai.device"], "cpu");
    }
  });

  it("comes back by itself and takes the next request", async () => {
    await vitrine.untilReady();
    assert.notEqual(vitrine.enginePid, killed);
    const completion = await openai.completions.create(STORY);
    assert.match(completion.choices[0]?.text ?? "", /\w/);
  });

  it("has a model.load trace for each start", async () => {
    const loads = await store.awaitTraces({ serviceName: "vitrine", spanName: "model.load" }, 2);
    const restarts = loads.map((trace: Trace) => trace.named("model.load").tags?.["ai.engine.restarts"]);
    assert.deepEqual(restarts.sort(), ["0", "1"]);
  });
});

describe("one of two lost engines", function () {
  this.timeout(60_000);
  let vitrine: VitrineProcess;
  let openai: OpenAI;

  before(async () => {
    vitrine = await VitrineProcess.start({ flags: ["--devices", "cpu,cpu", "--threads", "1"] });
    openai = openaiClient(vitrine.url);
  });

  after(async () => {
    await vitrine?.stop();
  });

  const perEngine = async (name: string): Promise<readonly number[]> =>
    Promise.all([0, 1].map((engine) => metric(vitrine, new RegExp(`^vitrine_${name}\\{engine="${engine}",`))));

  it("costs only its own requests, and what comes goes to the other until it is back", async () => {
    const [first, second] = vitrine.enginePids;
    assert.ok(first !== undefined && second !== undefined);
    const streams = [await RunningStream.start(openai), await RunningStream.start(openai, { max_tokens: 1400 })];
    assert.deepEqual(await perEngine("requests_in_flight"), [1, 1]);
    await vitrine.until("both decode", () => streams.every(({ chunks }) => chunks >= 2));
    process.kill(first, "SIGKILL");
    assertLost(await streams[0]?.error);
    const completion = await openai.completions.create({ ...STORY, max_tokens: 4 });
    assert.equal(completion.choices[0]?.finish_reason, "length");
    assert.equal(await streams[1]?.error, undefined, "the other came to its end");

    await vitrine.until("both are ready", async () =>
      (await health(vitrine)).devices.every(({ state, provider }) => state === "ready" && provider === "cpu"),
    );
    assert.deepEqual(await perEngine("engine_ready"), [1, 1]);
    const starts = vitrine.output.filter((line) => line.includes('"msg":"engine ready"'));
    assert.deepEqual(starts.map((line) => /"engine":\d/.exec(line)?.[0]).sort(), [
      '"engine":0',
      '"engine":0',
      '"engine":1',
    ]);
    for (const line of starts) assert.equal(line.match(/"device":/g)?.length, 1, "no key stands twice in a line");
    assert.ok(vitrine.enginePids.includes(second) && !vitrine.enginePids.includes(first));
    const loads = await new ZipkinClient(`${vitrine.url}/zipkin`).awaitTraces({ spanName: "model.load" }, 3);
    const loaded = loads.map((trace) => trace.named("model.load").tags);
    assert.deepEqual(loaded.map((tags) => `${tags?.["ai.device"]} ${tags?.["ai.engine.restarts"]}`).sort(), [
      "cpu 0",
      "cpu 0",
      "cpu 1",
    ]);
  });

  it("keeps each chat on the engine that has its prompt", async () => {
    const cachedOf = async (prompt: string): Promise<number | undefined> => {
      const { usage } = await openai.completions.create({ ...STORY, prompt, max_tokens: 2 });
      return usage?.prompt_tokens_details?.cached_tokens;
    };
    const chats = ["The dog ran home. ", "A bird sat here. ", "Tom has a red ball. "].map((text) => text.repeat(30));
    for (const chat of chats) assert.ok((await cachedOf(chat)) !== undefined);
    for (const chat of [...chats, ...chats]) assert.ok(((await cachedOf(`${chat}And then`)) ?? 0) >= 64, chat);
  });
});

describe("a collector that is no use", function () {
  this.timeout(60_000);
  let vitrine: VitrineProcess | undefined;
  let hanging: Server | undefined;

  afterEach(async () => {
    await vitrine?.kill();
    hanging?.close();
  });

  async function serveWith(endpoint: string): Promise<VitrineProcess> {
    vitrine = await VitrineProcess.start({ flags: ["--zipkin-endpoint", endpoint] });
    const openai = openaiClient(vitrine.url);
    const ask = () => openai.completions.create({ ...STORY, max_tokens: 8 });
    // Four rounds make more spans than a batch holds, so that one leaves without having waited.
    for (let round = 0; round < 4; round++) {
      const answers = await Promise.all(Array.from({ length: 20 }, ask));
      for (const { choices } of answers) assert.equal(choices[0]?.finish_reason, "length");
    }
    return vitrine;
  }

  it("refuses connections: requests do not notice, and the lost spans are counted", async () => {
    const server = await serveWith(await refusingAddress());
    const failed = /^zipkin_reporter_messages_dropped_total\{cause="connection_failed"/;
    await server.until("a failed POST is counted", async () => (await metric(server, failed)) > 0);
    assert.equal(await metric(server, /^vitrine_spans_delivered_total/), 0);
    await server.stop();
    assert.match(
      server.output.join("\n"),
      /: (\d+) ended, 0 delivered, \1 dropped \(\1 connection_failed\), 0 sampled out, 0 queued/,
    );
  });

  it("takes connections and never answers: requests do not notice, and every span is accounted for", async () => {
    let connections = 0;
    hanging = createServer((socket) => {
      connections++;
      socket.on("error", () => {}).unref();
    });
    const port = await listen(hanging);
    const server = await serveWith(`http://127.0.0.1:${port}`);
    await server.until("a batch is sent", () => connections > 0);
    const completion = await openaiClient(server.url).completions.create(STORY);
    assert.ok(completion.choices[0]?.text);
    assert.ok((await metric(server, /^zipkin_reporter_spans_total/)) > 100);
    assert.equal(await metric(server, /^vitrine_spans_delivered_total/), 0);
    // Between two reads a batch may move from one count to another, so it is asked until it stands still.
    await server.until("ended spans are queued or dropped", async () => {
      const [ended, queued, dropped] = [
        /^zipkin_reporter_spans_total/,
        /^zipkin_reporter_queue_spans/,
        /^zipkin_reporter_spans_dropped/,
      ];
      return (await metric(server, ended)) === (await metric(server, queued)) + (await metric(server, dropped));
    });
  });
});

/** Sum of the metric lines that match. */
async function metric(vitrine: VitrineProcess, name: RegExp): Promise<number> {
  const text = await (await fetch(`${vitrine.url}/metrics`)).text();
  const lines = text.split("\n").filter((line) => name.test(line) && !line.startsWith("#"));
  assert.ok(lines.length > 0, `no metric matches ${name}`);
  return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

/** An address where nobody listens any more. */
async function refusingAddress(): Promise<string> {
  const server = createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return address.port;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
