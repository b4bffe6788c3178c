/** A Zipkin collector that behaves as told, on a thread of its own, so that it answers while the test's thread is stuck. */
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { gunzipSync } from "node:zlib";
import type { ZipkinSpan } from "../../src/tracing/export/zipkin-span.js";

/** A number is the status of every answer; `hang` never answers; `slow` takes 50 ms. */
export type Behaviour = number | "hang" | "slow";

export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly url: string;
  readonly spans: readonly ZipkinSpan[];
}

const POSTS = 0;
const SPANS = 1;
const OPEN = 2;
const MOST_OPEN = 3;

export class FakeCollector {
  readonly received: Received[] = [];
  readonly #cells: Int32Array;

  private constructor(
    private readonly worker: Worker,
    readonly endpoint: string,
    memory: SharedArrayBuffer,
  ) {
    this.#cells = new Int32Array(memory);
    worker.on("message", (message: Received) => this.received.push(message));
  }

  static async start(behaviour: Behaviour): Promise<FakeCollector> {
    const memory = new SharedArrayBuffer(16);
    const worker = new Worker(new URL(import.meta.url), { workerData: { memory, behaviour } });
    const port = await new Promise<number>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
    return new FakeCollector(worker, `http://127.0.0.1:${port}/api/v2/spans`, memory);
  }

  get posts(): number {
    return Atomics.load(this.#cells, POSTS);
  }

  /** Most POSTs that were open at one time. */
  get mostOpen(): number {
    return Atomics.load(this.#cells, MOST_OPEN);
  }

  get spans(): number {
    return Atomics.load(this.#cells, SPANS);
  }

  /** Blocks the calling thread until there are more than `count` spans; false when that took too long. */
  blockUntilMoreThan(count: number, timeoutMs: number): boolean {
    return Atomics.wait(this.#cells, SPANS, count, timeoutMs) !== "timed-out";
  }

  async stop(): Promise<void> {
    await this.worker.terminate();
  }
}

function serve(memory: SharedArrayBuffer, behaviour: Behaviour): void {
  const cells = new Int32Array(memory);
  const server = createServer((request, response) => {
    Atomics.add(cells, POSTS, 1);
    const open = Atomics.add(cells, OPEN, 1) + 1;
    if (open > Atomics.load(cells, MOST_OPEN)) Atomics.store(cells, MOST_OPEN, open);
    response.on("close", () => Atomics.sub(cells, OPEN, 1));
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      if (behaviour === "hang") return;
      const body = Buffer.concat(chunks);
      const plain = request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body;
      const spans = JSON.parse(plain.toString()) as ZipkinSpan[];
      parentPort?.postMessage({ headers: request.headers, url: request.url, spans } as Received);
      const answer = (): void => {
        Atomics.add(cells, SPANS, spans.length);
        Atomics.notify(cells, SPANS);
        response.writeHead(typeof behaviour === "number" ? behaviour : 202).end();
      };
      if (behaviour === "slow") setTimeout(answer, 50);
      else answer();
    });
  });
  server.listen(0, "127.0.0.1", () => parentPort?.postMessage((server.address() as AddressInfo).port));
}

if (!isMainThread) {
  const { memory, behaviour } = workerData as { memory: SharedArrayBuffer; behaviour: Behaviour };
  serve(memory, behaviour);
}
