import assert from "node:assert/strict";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { HttpSender } from "../../src/tracing/export/http-sender.js";

const SPAN = JSON.stringify({ traceId: "a".repeat(32), id: "b".repeat(16), name: "get" });

describe("HttpSender", () => {
  let server: Server;
  let sender: HttpSender;

  async function serve(answer: RequestListener): Promise<void> {
    server = createServer(answer);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    sender = new HttpSender(`http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v2/spans`);
  }

  afterEach(async () => {
    sender.close();
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  });

  for (const [count, encoding] of [
    [1, undefined],
    [100, "gzip"],
  ] as const) {
    it(`sends ${count} spans with content-encoding ${encoding ?? "none"}`, async () => {
      const bodies: unknown[] = [];
      await serve(async (request, response) => {
        const body = Buffer.concat((await request.toArray()) as Buffer[]);
        assert.equal(request.headers["content-length"], String(body.length));
        const { "content-encoding": used } = request.headers;
        bodies.push([used, (used === "gzip" ? gunzipSync(body) : body).toString()]);
        response.writeHead(202).end();
      });
      const spans = Array.from({ length: count }, () => SPAN);
      assert.deepEqual(await sender.send(spans, 5_000), { ok: true });
      assert.deepEqual(bodies, [[encoding, `[${spans.join(",")}]`]]);
    });
  }

  it("keeps its connection from one POST to the next", async () => {
    let connections = 0;
    await serve((request, response) => {
      request.resume().on("end", () => response.writeHead(202).end("a body that nobody reads"));
    });
    server.on("connection", () => connections++);
    for (let count = 0; count < 5; count++) assert.equal((await sender.send([SPAN], 5_000)).ok, true);
    assert.equal(connections, 1);
  });

  it("breaks off a POST that gets no answer in time", async () => {
    let broken: () => void = () => {};
    const aborted = new Promise<void>((resolve) => {
      broken = resolve;
    });
    await serve((request) => void request.resume().socket.on("close", broken));
    const result = await sender.send([SPAN], 50);
    assert.deepEqual(result, { ok: false, cause: "timeout", reason: "no answer within 50 ms" });
    await aborted;
  });

  for (const [status, header, expected] of [
    [503, "7", { cause: "server_error", retryAfterMs: 7_000 }],
    [429, undefined, { cause: "server_error", retryAfterMs: 0 }],
    [400, undefined, { cause: "refused" }],
    [413, undefined, { cause: "refused" }],
    [422, undefined, { cause: "refused" }],
    [302, undefined, { cause: "rejected" }],
    [404, "7", { cause: "rejected" }],
  ] as const) {
    it(`takes ${status} for "${expected.cause}"`, async () => {
      let posts = 0;
      await serve((request, response) => {
        posts++;
        const headers = { location: "/elsewhere", ...(header === undefined ? {} : { "retry-after": header }) };
        request.resume().on("end", () => response.writeHead(status, headers).end());
      });
      const result = await sender.send([SPAN], 5_000);
      assert.deepEqual(result, { ok: false, reason: `HTTP status ${status}`, ...expected });
      assert.equal(posts, 1, "no redirect is followed");
    });
  }
});
