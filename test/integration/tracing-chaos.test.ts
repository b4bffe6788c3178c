import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { DELIVERY_LIMITS, type DeliveryLimits } from "../../src/tracing/export/delivery.js";
import type { ZipkinSpan } from "../../src/tracing/export/zipkin-span.js";
import { request, TracingHarness, until } from "./tracing-harness.js";

const DEATHS = 10;
const POSTS_A_LIFE = 3;

/** Dies at its third POST, with the POST unanswered, and starts again on the same port; the last life lasts. */
class MortalCollector {
  /** Ids of the spans of every POST that was answered. */
  readonly ids: string[] = [];
  deaths = 0;
  #posts = 0;
  /** Any, until it first has one. */
  #port = 0;
  #server: Server | undefined;
  /** Its last death, which is over when it lives again. */
  #reborn = Promise.resolve();

  async start(): Promise<string> {
    const server = createServer((post, response) => void this.#take(post, response));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (server.address() as AddressInfo).port;
    return `http://127.0.0.1:${this.#port}/api/v2/spans`;
  }

  async #take(post: IncomingMessage, response: ServerResponse): Promise<void> {
    const dies = ++this.#posts % POSTS_A_LIFE === 0 && this.deaths < DEATHS;
    // By turns before the body is read and after.
    if (dies && this.deaths % 2 === 0) return this.#die();
    const chunks = (await post.toArray()) as Buffer[];
    if (dies) return this.#die();
    const body = Buffer.concat(chunks);
    const plain = post.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body;
    const spans = JSON.parse(plain.toString()) as ZipkinSpan[];
    response.on("finish", () => void this.ids.push(...spans.map(({ id }) => id)));
    response.writeHead(202).end();
  }

  #die(): void {
    this.deaths++;
    this.#reborn = this.#close()
      .then(() => sleep(10))
      .then(() => this.start())
      .then(() => {});
  }

  /** For good, also where it is dead just now. */
  async stop(): Promise<void> {
    await this.#reborn;
    await this.#close();
  }

  async #close(): Promise<void> {
    const server = this.#server;
    const closed = new Promise((resolve) => server?.close(resolve));
    server?.closeAllConnections();
    await closed;
  }
}

describe(`a collector that dies ${DEATHS} times under load`, function () {
  this.timeout(30_000);
  const harness = new TracingHarness();
  let zipkin: MortalCollector | undefined;

  afterEach(async () => {
    await harness.stop();
    await zipkin?.stop();
  });

  async function outlive(limits: Partial<DeliveryLimits>) {
    zipkin = new MortalCollector();
    const endpoint = await zipkin.start();
    const deliveryLimits = { ...DELIVERY_LIMITS, batchMs: 5, batchSpans: 64, retryMs: 5, retryMaxMs: 20, ...limits };
    const tracing = harness.start(endpoint, { deliveryLimits });
    while (zipkin.deaths < DEATHS) {
      for (let count = 0; count < 10; count++) request(tracing);
      await sleep(1);
    }
    await until(() => tracing.counters().queued === 0);
    const { ids } = zipkin;
    assert.equal(new Set(ids).size, ids.length, "no span arrives twice");
    assert.equal(ids.length, tracing.counters().delivered);
    return tracing.counters();
  }

  it("gets every span exactly once, where there are attempts enough", async () => {
    const { ended, delivered, messagesDropped } = await outlive({ attempts: 1_000 });
    assert.equal(delivered, ended);
    assert.ok((messagesDropped.connection_failed ?? 0) >= DEATHS);
  });

  it("gets every span exactly once, or it is counted, where there are not", async () => {
    const { ended, delivered, dropped } = await outlive({ attempts: 1, queueSpans: 500 });
    const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0);
    assert.ok((dropped.connection_failed ?? 0) >= DEATHS, JSON.stringify(dropped));
    assert.equal(delivered + lost, ended);
  });
});
