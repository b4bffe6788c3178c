/** A Zipkin collector that behaves as told, on a thread of its own, so that it answers while the test's thread is stuck. */
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { gunzipSync } from "node:zlib";
import type { ZipkinSpan } from "../../src/tracing/export/zipkin-span.js";

/**
 * A number is the status of an answer; `hang` never answers; `slow` takes 50 ms; `reset` breaks the connection; `picky`
 * answers 400 where one of the spans is named as `POISON`.
 */
export type Behaviour = number | "hang" | "slow" | "reset" | "picky";
export const POISON = "POST /poison";

export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly url: string;
  readonly status: number;
  readonly spans: readonly ZipkinSpan[];
}

const POSTS = 0;
const SPANS = 1;
const OPEN = 2;
const MOST_OPEN = 3;
const CONNECTIONS = 4;

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

  /** Behaves as told at each POST in turn, and after the last as at the last. */
  static async start(behaviours: readonly Behaviour[]): Promise<FakeCollector> {
    const memory = new SharedArrayBuffer(20);
    const worker = new Worker(new URL(import.meta.url), { workerData: { memory, behaviours } });
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

  get connections(): number {
    return Atomics.load(this.#cells, CONNECTIONS);
  }

  /** Spans of POSTs that got a 2xx. */
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

function serve(memory: SharedArrayBuffer, behaviours: readonly Behaviour[]): void {
  const cells = new Int32Array(memory);
  const server = createServer((request, response) => {
    const behaviour = behaviours[Math.min(Atomics.add(cells, POSTS, 1), behaviours.length - 1)] ?? 202;
    const open = Atomics.add(cells, OPEN, 1) + 1;
    if (open > Atomics.load(cells, MOST_OPEN)) Atomics.store(cells, MOST_OPEN, open);
    response.on("close", () => Atomics.sub(cells, OPEN, 1));
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      if (behaviour === "hang") return;
      if (behaviour === "reset") return void request.socket.destroy();
      const body = Buffer.concat(chunks);
      const plain = request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body;
      const spans = JSON.parse(plain.toString()) as ZipkinSpan[];
      const status = statusOf(behaviour, spans);
      const answer = (): void => {
        const { headers, url } = request;
        parentPort?.postMessage({ headers, url, status, spans } as Received);
        if (status < 300) Atomics.add(cells, SPANS, spans.length);
        Atomics.notify(cells, SPANS);
        response.writeHead(status, status >= 300 && status < 400 ? { location: "/elsewhere" } : {}).end();
      };
      if (behaviour === "slow") setTimeout(answer, 50);
      else answer();
    });
  });
  server.on("connection", () => Atomics.add(cells, CONNECTIONS, 1));
  server.listen(0, "127.0.0.1", () => parentPort?.postMessage((server.address() as AddressInfo).port));
}

function statusOf(behaviour: Behaviour, spans: readonly ZipkinSpan[]): number {
  if (behaviour === "picky") return spans.some(({ name }) => name === POISON) ? 400 : 202;
  return typeof behaviour === "number" ? behaviour : 202;
}

if (!isMainThread) {
  const { memory, behaviours } = workerData as { memory: SharedArrayBuffer; behaviours: readonly Behaviour[] };
  serve(memory, behaviours);
}
