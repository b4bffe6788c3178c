/** A collector in a thread of its own, so that what it costs is not the producer's: takes everything, some, or never answers. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

/** An overloaded one is offered ten times what it takes: one POST in ten, the others are answered 429. */
export type CollectorState = "accepting" | "refusing" | "hung" | "overloaded";

export interface Collector {
  readonly endpoint: string;
  stop(): Promise<void>;
}

export async function startCollector(state: CollectorState): Promise<Collector> {
  const worker = new Worker(new URL(import.meta.url), { workerData: state });
  const port = await new Promise<number>((resolve) => worker.once("message", resolve));
  const endpoint = `http://127.0.0.1:${port}/api/v2/spans`;
  // Nobody listens where somebody did.
  if (state === "refusing") await worker.terminate();
  return { endpoint, stop: async () => void (await worker.terminate()) };
}

if (!isMainThread) {
  const state: CollectorState = workerData;
  let posts = 0;
  const server = createServer((request, response) => {
    request.resume();
    if (state === "hung") return;
    const status = state === "overloaded" && posts++ % 10 !== 0 ? 429 : 202;
    request.on("end", () => response.writeHead(status).end());
  });
  server.listen(0, "127.0.0.1", () => parentPort?.postMessage((server.address() as AddressInfo).port));
}
