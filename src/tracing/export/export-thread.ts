/**
 * Entry of the export thread: everything about a span that takes time. It empties the ring on a timer of its own,
 * so it works while the thread that fills the ring is stuck, and nothing it waits for holds that thread up.
 */
import { parentPort, workerData } from "node:worker_threads";
import { ThreadCounters } from "../counters.js";
import { ReadApi } from "../store/read-api.js";
import { TraceStore } from "../store/trace-store.js";
import { Delivery, systemTimers } from "./delivery.js";
import { ExportPipeline } from "./export-pipeline.js";
import { watchGpus } from "./gpu-watch.js";
import { HttpSender } from "./http-sender.js";
import type { Sender } from "./sender.js";
import type { FromThread, ThreadData, ToThread } from "./thread-messages.js";
import type { ZipkinEndpoint } from "./zipkin-span.js";

const data = workerData as ThreadData;
const counters = new ThreadCounters(data.counters);

function post(message: FromThread): void {
  parentPort?.postMessage(message);
}

async function createSender(endpoint: string): Promise<Sender> {
  if (data.encoder === "vitrine") return new HttpSender(endpoint);
  // Loaded only when asked for: it brings OpenTelemetry into this thread.
  const { StockSender } = await import("./stock-sender.js");
  return new StockSender(endpoint);
}

async function createDelivery(endpoint: string): Promise<Delivery> {
  const sender = await createSender(endpoint);
  const log = (level: "info" | "warn" | "error", message: string) => post({ type: "log", level, message });
  return new Delivery(sender, counters, log, data.deliveryLimits);
}

const store = data.storeLimits === undefined ? undefined : new TraceStore(data.storeLimits);
const delivery = data.zipkinEndpoint === undefined ? undefined : await createDelivery(data.zipkinEndpoint);
const readApi = store === undefined ? undefined : new ReadApi(store);
const listening = new Int32Array(data.port);

function localEndpoint(): ZipkinEndpoint {
  const port = Atomics.load(listening, 0);
  return port === 0 ? data.localEndpoint : { ...data.localEndpoint, port };
}

const destinations = {
  ...(delivery === undefined ? {} : { delivery }),
  ...(store === undefined ? {} : { store }),
};
const pipeline = new ExportPipeline(data.ring, counters, localEndpoint, destinations, data.pricePerDeviceHour);

async function shutdown(timeoutMs: number): Promise<void> {
  const deadline = systemTimers.now() + timeoutMs;
  pipeline.drain();
  await delivery?.flush(deadline);
  post({ type: "stopped" });
}

parentPort?.on("message", (message: ToThread) => {
  if (message.type === "shutdown") {
    void shutdown(message.timeoutMs);
    return;
  }
  // Spans that ended before the question was asked are part of the answer.
  pipeline.drain();
  const answer = readApi?.get(message.path) ?? { status: 404, body: "the trace store is off" };
  post({ type: "answer", id: message.id, ...answer });
});

/** Spans taken before sockets and timers get their turn: a long backlog must not make a POST look late. */
const DRAIN_SPANS = 256;

function drainInTurns(): void {
  if (pipeline.drain(DRAIN_SPANS)) setImmediate(drainInTurns);
  else setTimeout(drainInTurns, data.drainMs);
}
drainInTurns();

watchGpus(data.gpuModule, data.gpuDeviceIds).then(
  (histories) => {
    pipeline.gpu = histories;
  },
  (error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    post({ type: "log", level: "warn", message: `Spans will have no ai.gpu.* tags: ${reason}` });
  },
);
