/**
 * Entry of the export thread: everything about a span that takes time. It empties the ring on a timer of its own,
 * so it works while the thread that fills the ring is stuck, and nothing it waits for holds that thread up.
 */
import { parentPort, workerData } from "node:worker_threads";
import { type Micros, monotonicMicros } from "../../protocol.js";
import type { StoreAnswer } from "../contract.js";
import { countingAll, ThreadCounters } from "../counters.js";
import { ReadApi } from "../store/read-api.js";
import { TraceStore } from "../store/trace-store.js";
import { createSender } from "./create-sender.js";
import { Delivery, systemTimers } from "./delivery.js";
import type { Destination } from "./destination.js";
import { DeviceEnergy } from "./device-energy.js";
import { ExportPipeline } from "./export-pipeline.js";
import { type GpuWatch, watchGpus } from "./gpu-watch.js";
import type { Sender } from "./sender.js";
import { Spool } from "./spool.js";
import { SpoolingSender } from "./spooling-sender.js";
import { TailSampler } from "./tail-sampler.js";
import type { FromThread, ThreadData, ToThread } from "./thread-messages.js";
import { beat } from "./thread-watch.js";
import { ZipkinEncoder } from "./zipkin-json.js";

const data = workerData as ThreadData;
beat(data.heartbeat, data.heartbeatMs);
const counters = data.counters.map((memory) => new ThreadCounters(memory));

function post(message: FromThread): void {
  parentPort?.postMessage(message);
}

const log = (level: "info" | "warn" | "error", message: string) => post({ type: "log", level, message });

function spooled(sender: Sender, { spool }: Destination, own: ThreadCounters): Sender {
  if (spool === undefined) return sender;
  const parts = { counters: own, limits: data.deliveryLimits, timers: systemTimers, log };
  return new SpoolingSender(sender, { ...parts, spool: new Spool(spool.directory, spool.bytes) });
}

async function open(destination: Destination, index: number) {
  const own = counters[index] ?? new ThreadCounters();
  const sender = spooled(await createSender(destination, data, log), destination, own);
  const delivery = new Delivery(sender, own, log, data.deliveryLimits);
  return { sender, delivery, form: destination.kind === "zipkin" ? "zipkin" : "record" } as const;
}

const collectors = await Promise.all(data.destinations.map(open));
const store = data.storeLimits === undefined ? undefined : new TraceStore(data.storeLimits);
const readApi = store === undefined ? undefined : new ReadApi(store);
const STORE_OFF: StoreAnswer = { status: 404, body: "the trace store is off" };
const listening = new Int32Array(data.port);
let encoder = new ZipkinEncoder(data.localEndpoint, data.resource);
let port = 0;

/** Another one once the port is known. */
function currentEncoder(): ZipkinEncoder {
  const now = Atomics.load(listening, 0);
  if (now === port) return encoder;
  port = now;
  encoder = new ZipkinEncoder({ ...data.localEndpoint, port }, data.resource);
  return encoder;
}

const counting = countingAll(counters);
const tail = data.tailLimits === undefined ? undefined : new TailSampler(data.tailLimits, counting, systemTimers.now);

const outlets = {
  collectors,
  counters: counting,
  ...(store === undefined ? {} : { store }),
  ...(tail === undefined ? {} : { tail }),
};
const pipeline = new ExportPipeline(data.ring, currentEncoder, outlets, data.pricePerDeviceHour);

async function shutdown(deadline: Micros): Promise<void> {
  const leftMs = Math.max(0, (deadline - monotonicMicros()) / 1e3);
  const end = systemTimers.now() + leftMs;
  pipeline.drain();
  for (const { sender } of collectors) if (sender instanceof SpoolingSender) sender.hurry(leftMs);
  await Promise.all(collectors.map(({ delivery }) => delivery.flush(end)));
  const flushed = new Int32Array(data.flushed);
  Atomics.store(flushed, 0, 1);
  Atomics.notify(flushed, 0);
  post({ type: "stopped" });
}

let gpus: GpuWatch | undefined;

async function readGpus(id: number): Promise<void> {
  post({ type: "answer", id, status: 200, body: JSON.stringify((await gpus?.read()) ?? []) });
}

/** Most workers are never sent any: what checks them is loaded with the first. */
async function storeSpans(list: Uint8Array, gzip: boolean): Promise<StoreAnswer> {
  if (store === undefined) return STORE_OFF;
  const { WriteApi } = await import("../store/write-api.js");
  return new WriteApi(store).post(list, gzip);
}

parentPort?.on("message", (message: ToThread) => {
  if (message.type === "shutdown") {
    void shutdown(message.deadline);
    return;
  }
  if (message.type === "gpus") {
    void readGpus(message.id);
    return;
  }
  if (message.type === "post") {
    void storeSpans(message.list, message.gzip).then((answer) => post({ type: "answer", id: message.id, ...answer }));
    return;
  }
  // Spans that ended before the question was asked are part of the answer.
  pipeline.drain();
  const answer = readApi?.get(message.path) ?? STORE_OFF;
  post({ type: "answer", id: message.id, ...answer });
});

/** Spans taken before sockets and timers get their turn: a long backlog must not make a POST look late. */
const DRAIN_SPANS = 256;

function drainInTurns(): void {
  if (pipeline.drain(DRAIN_SPANS)) setImmediate(drainInTurns);
  else setTimeout(drainInTurns, data.drainMs);
}
drainInTurns();

watchGpus(data.gpuModule, data.gpuDeviceIds, new DeviceEnergy(data.gpuEnergy), (line) => log("info", line)).then(
  (watch) => {
    gpus = watch;
    pipeline.gpu = watch.histories;
  },
  (error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    log("warn", `Spans will have no ai.gpu.* tags: ${reason}`);
  },
);
