/** Nothing that a client sends leaves the process but in that client's own answer, whatever the route and the outcome. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Canary, formsOf, KeepingCollector } from "../support/canary.js";
import { CanaryClient } from "../support/canary-client.js";
import { VitrineProcess } from "../support/vitrine-process.js";

const ENDLESS = { temperature: 0, ignore_eos: true, max_tokens: 1500, stop: undefined, logprobs: undefined };
/** The server's largest body is 32 MiB. */
const TOO_LARGE = 33 * 2 ** 20;

const CHAT = "/v1/chat/completions";
const COMPLETIONS = "/v1/completions";

/** What is served: whole and streamed, each with its marker in the answer, which shows that it got in. */
async function serveAll(client: CanaryClient): Promise<void> {
  const asked: [string, object, string?][] = [
    [COMPLETIONS, client.completion(), "prompt"],
    [CHAT, client.chat()],
    [CHAT, client.chat({ response_format: client.format(), logprobs: false, top_logprobs: undefined }), "enum"],
    [CHAT, client.chat({ ...client.tools(), stop: undefined }), "argument"],
  ];
  for (const [path, body, shown] of asked) {
    for (const stream of [false, true]) {
      const { status, text } = await client.post(path, { ...body, stream });
      assert.equal(status, 200, text);
      const joined = stream ? deltasOf(text) : text;
      if (shown !== undefined) assert.ok(client.canary.leaksIn(joined).includes(shown), `${shown}: ${joined}`);
    }
  }
}

/** Texts of a stream's chunks, and of their tools' arguments. */
function deltasOf(stream: string): string {
  return Array.from(stream.matchAll(/"(?:text|content|arguments|name)":("(?:[^"\\]|\\.)*")/g), ([, text]) =>
    String(JSON.parse(text ?? '""')),
  ).join("");
}

/** What is refused for what was sent. */
async function refuseAll(client: CanaryClient): Promise<void> {
  const { canary } = client;
  const image = `data:image/png;base64,${Buffer.from(canary.text("image")).toString("base64")}`;
  const parts = [{ type: "image_url", image_url: { url: image } }];
  const unknown = { [canary.plain("property")]: { type: canary.text("badtype") } };
  const bad: [string, unknown, number][] = [
    [CHAT, client.chat({ messages: [{ role: "user", content: parts }] }), 400],
    [CHAT, client.chat({ messages: [{ role: canary.text("role"), content: canary.text("lost") }] }), 400],
    [CHAT, client.chat({ response_format: client.format(unknown) }), 400],
    [CHAT, client.chat({ response_format: { type: canary.text("formattype") } }), 400],
    [CHAT, client.chat({ response_format: client.format({ x: { pattern: `(${canary.plain("pattern")}` } }) }), 400],
    [CHAT, client.chat(client.tools(unknown)), 400],
    [CHAT, client.chat({ ...client.tools(), tool_choice: canary.text("choice") }), 400],
    [COMPLETIONS, client.completion({ logit_bias: { [canary.plain("biaskey")]: 1 } }), 400],
    [COMPLETIONS, client.completion({ temperature: canary.text("temperature") }), 400],
    [COMPLETIONS, client.completion({ suffix: canary.text("suffix") }), 400],
    [COMPLETIONS, client.completion({ prompt: `${canary.text("longprompt")} `.repeat(3_000) }), 400],
    [COMPLETIONS, `{"prompt": "${canary.plain("brokenjson")}`, 400],
    [COMPLETIONS, client.completion({ model: canary.text("model") }), 404],
  ];
  for (const [path, body, status] of bad) assert.equal((await client.post(path, body)).status, status);
  const type = `text/${canary.plain("contenttype")}`;
  assert.equal((await client.post(CHAT, client.chat(), { "content-type": type })).status, 415);
  assert.equal(await client.announce(COMPLETIONS, TOO_LARGE, canary.plain("large")), 413);
}

/** Text in paths and queries, of every route. */
async function visitAll(client: CanaryClient): Promise<void> {
  const query = `?q=${encodeURIComponent(client.canary.text("query"))}`;
  const path = client.canary.plain("path");
  const visits: [string, number][] = [
    [`/${query}`, 200],
    [`/health${query}`, 200],
    [`/ready${query}`, 200],
    [`/metrics${query}`, 200],
    [`/v1/models${query}`, 200],
    [`/v1/models/${path}`, 404],
    [`/${path}${query}`, 404],
    [`/%${path}`, 400],
    [`${CHAT}${query}`, 405],
    [`/zipkin/api/v2/trace/${path}`, 400],
    [`/zipkin/api/v2/traces?serviceName=${path}&limit=${path}`, 400],
    [`/zipkin/api/v2/${path}`, 404],
  ];
  for (const [visited, status] of visits) assert.equal((await client.ask(visited)).status, status, visited);
}

/** What ends before its time: at a client's limit, at a full queue, hung up on, and with its engine. */
async function interruptAll(client: CanaryClient, vitrine: VitrineProcess): Promise<void> {
  const endless = client.completion({ ...ENDLESS, stream: true });
  const limit = { "x-envoy-expected-rq-timeout-ms": "50" };
  assert.equal((await client.post(COMPLETIONS, { ...endless, stream: false }, limit)).status, 504);
  await vitrine.until("the engine let go of it", async () => /"in_flight":0/.test((await client.ask("/health")).text));

  const hangUp = new AbortController();
  const [gone, lost] = await Promise.all(
    [hangUp.signal, undefined].map((signal) => begin(client, vitrine, endless, signal)),
  );
  assert.equal((await client.post(COMPLETIONS, client.completion())).status, 429);
  hangUp.abort();
  await gone?.text().catch(() => "");
  process.kill(vitrine.enginePid, "SIGKILL");
  assert.match((await lost?.text()) ?? "", /engine_lost/);
  await vitrine.untilReady();
}

/** Sends and waits for the first byte only. */
function begin(client: CanaryClient, { url }: VitrineProcess, body: object, signal?: AbortSignal): Promise<Response> {
  const { canary } = client;
  return fetch(url + COMPLETIONS, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${canary.plain("bearer")}` },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Every file below it, as its bytes and as its name. */
function filesIn(directory: string): string[] {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => `${name} ${readFileSync(join(parentPath, name), "latin1")}`);
}

/** Nobody listens there, so that every span waits on disk. */
const NOBODY = "http://127.0.0.1:1";

describe("a canary in everything a client sends", function () {
  this.timeout(120_000);

  it("is found in any form", () => {
    const canary = new Canary();
    const text = canary.text("seen");
    for (const { form } of formsOf(canary.plain("seen"))) assert.deepEqual(canary.leaksIn(`<${form}>`), ["seen"], form);
    for (const offset of ["", "a", "ab"]) {
      assert.deepEqual(canary.leaksIn(Buffer.from(`${offset}${text}..`).toString("base64")), ["seen"]);
    }
    assert.deepEqual(canary.leaksIn("nothing of the kind"), []);
  });

  // `trace` logs what every level does; `silent` is what the other outputs say by themselves.
  for (const level of ["silent", "trace"]) {
    it(`leaves the process in nobody else's bytes, logging at ${level}`, async () => {
      const collector = await KeepingCollector.start();
      const spool = mkdtempSync(join(tmpdir(), "vitrine-canary-"));
      const flags = ["--zipkin-endpoint", collector.url, "--log-level", level, "--trace-detail", "step"];
      flags.push("--price-per-device-hour", "2.5", "--otlp-endpoint", NOBODY, "--trace-spool", spool);
      const vitrine = await VitrineProcess.start({ flags: [...flags, "--max-sequences", "2", "--max-queue", "0"] });
      try {
        const client = new CanaryClient(vitrine.url);
        await serveAll(client);
        await refuseAll(client);
        await visitAll(client);
        await interruptAll(client, vitrine);
        const pages = ["/metrics", "/health", "/zipkin/api/v2/traces?limit=1000", "/zipkin/api/v2/services"];
        for (const page of pages) {
          const text = await (await fetch(vitrine.url + page)).text();
          assert.deepEqual(client.canary.leaksIn(text), [], page);
        }
        assert.deepEqual(await vitrine.stop(), { code: 0, signal: null });
        for (const line of vitrine.output) assert.deepEqual(client.canary.leaksIn(line), [], line);
        assert.ok(level === "silent" || vitrine.output.length > 25, "requests were logged");
        assert.deepEqual(client.canary.leaksIn(collector.text), []);
        assert.ok(collector.spans > 100, `${collector.spans} spans`);
        for (const tag of ["user_id_hash", "api_key_hash", "ai.cost.amount"])
          assert.ok(collector.text.includes(tag), tag);
        const files = filesIn(spool);
        assert.ok(files.some((file) => file.includes("user_id_hash")));
        for (const file of files) assert.deepEqual(client.canary.leaksIn(file), [], file);
      } finally {
        await vitrine.kill();
        collector.stop();
        rmSync(spool, { recursive: true, force: true });
      }
    });
  }
});
