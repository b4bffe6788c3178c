import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Sending } from "../../src/bench/client/exchange.js";
import { HttpClient } from "../../src/bench/client/http-client.js";
import { describeTarget } from "../../src/bench/client/target.js";
import { Certificates, OPENSSL } from "../support/certificates.js";
import { requirePart } from "../support/requirements.js";
import { answers, ScriptedServer, streams } from "../support/scripted-server.js";

describe("the benchmark's client", () => {
  let server: ScriptedServer;
  let client: HttpClient;
  const never = new AbortController().signal;

  const clientOf = (url: string, streaming = true, timeoutMs = 10_000): HttpClient =>
    new HttpClient({ url: `${url}/v1/chat/completions`, streaming, timeoutMs, now: () => performance.now() });
  const send = (more: Partial<Sending> = {}, by = client) =>
    by.send({ body: "{}", headers: { "content-type": "application/json" }, signal: never, ...more });
  const outcome = async (more: Partial<Sending> = {}, by = client) => (await send(more, by)).outcome;

  beforeEach(async () => {
    server = await ScriptedServer.start();
    client = clientOf(server.url);
  });
  afterEach(() => {
    client.close();
    server.stop();
  });

  it("reads a stream to its end, and sends the next request on the same connection", async () => {
    for (let i = 0; i < 3; i++) {
      const { outcome: kind, status, reader, sent, end } = await send();
      assert.deepEqual([kind, status, reader.text], [{ kind: "ok", finishReason: "stop" }, 200, "abc"]);
      assert.deepEqual([reader.promptTokens, reader.outputTokens], [11, 3]);
      assert.ok(sent <= (reader.firstToken ?? 0) && (reader.firstToken ?? 0) <= end);
    }
    assert.equal(new Set(server.asked.map(({ remotePort }) => remotePort)).size, 1);
  });

  it("tries again, once and on a new connection, where the idle one was closed as it was used", async () => {
    await send();
    const [first] = server.asked;
    let closed = 0;
    server.script = (response, asked) => {
      // The old connection answers nothing: as if it had been closed a moment before.
      if (asked.remotePort !== first?.remotePort) return streams(["x"])(response, asked);
      closed += 1;
      response.socket?.destroy();
    };
    assert.equal((await outcome()).kind, "ok");
    assert.equal(closed, 1);
  });

  it("does not try again what was refused, and keeps the code and Retry-After", async () => {
    server.script = answers(429, { error: { code: "queue_full", message: "secret" } }, { "retry-after": "7" });
    assert.deepEqual(await outcome(), { kind: "http", status: 429, code: "queue_full", retryAfterSeconds: 7 });
    assert.equal(server.asked.length, 1);
    server.script = answers(502, "<html>Bad Gateway</html>");
    assert.deepEqual(await outcome(), { kind: "http", status: 502 });
  });

  it("keeps the status of a target that lists no models, and the reason why none answers", async () => {
    assert.deepEqual(await describeTarget(`${server.url}/v1`, {}, never), { status: 200, model: "scripted" });
    server.getStatus = 404;
    assert.deepEqual(await describeTarget(`${server.url}/v1`, {}, never), { status: 404 });
    // A port that fetch refuses to use has no error code of the system's.
    await assert.rejects(describeTarget("http://127.0.0.1:1/v1", {}, never), /nothing answers .*\(bad port\)/);
  });

  it("tells a refused connection", async () => {
    const gone = await ScriptedServer.start();
    const refused = clientOf(gone.url);
    gone.stop();
    assert.deepEqual(await outcome({}, refused), { kind: "broken", reason: "ECONNREFUSED" });
    refused.close();
  });

  it("speaks TLS, and tells a certificate that it does not trust", async function () {
    requirePart(this, OPENSSL);
    const certificates = new Certificates();
    const { cert, key } = certificates.issue(certificates.authority("unknown"), "server");
    const secure = createServer({ cert: readFileSync(cert), key: readFileSync(key) });
    await new Promise<void>((resolve) => secure.listen(0, "127.0.0.1", resolve));
    const tls = clientOf(`https://127.0.0.1:${(secure.address() as AddressInfo).port}`);
    assert.deepEqual(await outcome({}, tls), { kind: "broken", reason: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" });
    tls.close();
    secure.close();
    certificates.remove();
  });

  it("tells half a stream: the connection broke, or the events ended early", async () => {
    server.script = (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write('data: {"choices":[{"delta":{"content":"a"}}]}\n\n', () => response.destroy());
    };
    const broken = await send();
    assert.deepEqual(broken.outcome, { kind: "broken", reason: "truncated" });
    server.script = (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.end('data: {"choices":[{"delta":{"content":"a"}}]}\n\n');
    };
    const ended = await send();
    assert.deepEqual([ended.outcome, ended.reader.text], [{ kind: "broken", reason: "truncated" }, "a"]);
  });

  it("tells an answer that is no event stream from one", async () => {
    server.script = answers(200, { choices: [{ message: { content: "hello" } }] });
    assert.deepEqual(await outcome(), { kind: "broken", reason: "not an event stream" });
    const whole = clientOf(server.url, false);
    const { outcome: kind, reader } = await send({}, whole);
    assert.deepEqual([kind.kind, reader.text, reader.firstToken], ["ok", "hello", undefined]);
    whole.close();
  });

  it("leaves when its time is up, when it is to cancel, and when the run ends", async () => {
    server.script = (response) => void response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    const hasty = clientOf(server.url, true, 30);
    assert.deepEqual(await outcome({}, hasty), { kind: "broken", reason: "timeout" });
    hasty.close();
    assert.deepEqual(await outcome({ cancelAfterMs: 5 }), { kind: "cancelled" });
    const abort = new AbortController();
    const leaving = outcome({ signal: abort.signal });
    abort.abort();
    assert.deepEqual(await leaving, { kind: "cancelled" });
    assert.deepEqual(await outcome({ signal: abort.signal }), { kind: "cancelled" }, "and begins nothing after it");
  });

  it("is not cancelled once it is complete", async () => {
    assert.equal((await outcome({ cancelAfterMs: 5_000 })).kind, "ok");
  });
});
