/**
 * What a finished span costs the thread it ended on: `onEnd`, and whatever that thread does later because of it. Our ring
 * against OpenTelemetry's BatchSpanProcessor with its ZipkinExporter, and against a message to another thread.
 */
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { ROOT_CONTEXT, SpanKind, trace } from "@opentelemetry/api";
import { ZipkinExporter } from "@opentelemetry/exporter-zipkin";
import { BasicTracerProvider, BatchSpanProcessor, type ReadableSpan } from "@opentelemetry/sdk-trace-node";
import { ThreadCounters } from "../../src/tracing/counters.js";
import { DELIVERY_LIMITS } from "../../src/tracing/export/delivery.js";
import { Exporter } from "../../src/tracing/export/exporter.js";
import { createRing } from "../../src/tracing/export/ring.js";
import { RingSpanProcessor } from "../../src/tracing/export/ring-processor.js";
import type { ThreadData } from "../../src/tracing/export/thread-messages.js";
import { HEARTBEAT_MS } from "../../src/tracing/export/thread-watch.js";
import { type CollectorState, startCollector } from "./collector.js";
import { type BenchRow, type BenchValue, compare, interleave, quantiles } from "./report.js";

const ROUNDS = 40;
const BURSTS = 4;
const BURST_SPANS = 500;
const TIMED_EVERY = 16;
/** Least the stock exporter's time on the producer's thread is to be, in ours. */
const TARGET = 5;

interface Producer {
  readonly name: string;
  onEnd(span: ReadableSpan): void;
  /** Everything that a round left to be done is done. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

function vitrine(endpoint: string): Producer {
  const ring = createRing(4 * 2 ** 20);
  const counters = new ThreadCounters();
  const processor = new RingSpanProcessor(ring);
  const data: ThreadData = {
    ring,
    counters: [counters.memory],
    port: new SharedArrayBuffer(4),
    flushed: new SharedArrayBuffer(4),
    heartbeat: new SharedArrayBuffer(4),
    heartbeatMs: HEARTBEAT_MS,
    localEndpoint: { serviceName: "bench" },
    destinations: [{ kind: "zipkin", endpoint }],
    deliveryLimits: DELIVERY_LIMITS,
    drainMs: 50,
    gpuModule: "data:text/javascript,export const openGpuSampler = async () => undefined;",
    gpuDeviceIds: [],
    gpuEnergy: new SharedArrayBuffer(0),
  };
  const exporter = new Exporter(data, [counters], processor.counts, () => {});
  return {
    name: "vitrine",
    onEnd: (span) => processor.onEnd(span),
    settled: async () => {
      while (counters.get("read") < processor.counts.written) await sleep(20);
    },
    stop: () => exporter.shutdown(0),
  };
}

function stock(endpoint: string): Producer {
  const processor = new BatchSpanProcessor(new ZipkinExporter({ url: endpoint }));
  return {
    name: "BatchSpanProcessor + ZipkinExporter",
    onEnd: (span) => processor.onEnd(span),
    // A hung collector keeps it waiting for half a minute.
    settled: () => Promise.race([processor.forceFlush().catch(() => {}), sleep(200)]),
    stop: () => Promise.race([processor.shutdown().catch(() => {}), sleep(200)]),
  };
}

function message(): Producer {
  const worker = new Worker("require('node:worker_threads').parentPort.on('message', () => {})", { eval: true });
  return {
    name: "postMessage of a plain object",
    onEnd: (span) => worker.postMessage(plain(span)),
    settled: () => sleep(20),
    stop: async () => void (await worker.terminate()),
  };
}

function plain(span: ReadableSpan): object {
  const { name, kind, startTime, endTime, attributes, status, events, parentSpanContext } = span;
  const { traceId, spanId } = span.spanContext();
  return {
    traceId,
    spanId,
    parent: parentSpanContext?.spanId,
    name,
    kind,
    startTime,
    endTime,
    attributes,
    status,
    events,
  };
}

/** Finished spans like those of `model.generate`. */
function finishedSpans(): ReadableSpan[] {
  const spans: ReadableSpan[] = [];
  const keep = {
    onStart() {},
    onEnd: (span: ReadableSpan) => void spans.push(span),
    async forceFlush() {},
    async shutdown() {},
  };
  const tracer = new BasicTracerProvider({ spanProcessors: [keep] }).getTracer("bench");
  for (let count = 0; count < BURST_SPANS; count++) {
    const parent = tracer.startSpan("POST /v1/completions", { kind: SpanKind.SERVER }, ROOT_CONTEXT);
    const attributes = {
      "gen_ai.operation.name": "text_completion",
      "gen_ai.request.model": "tiny",
      "gen_ai.request.max_tokens": 400,
      "gen_ai.request.temperature": 0.7,
      "gen_ai.request.seed": count,
      "gen_ai.usage.input_tokens": 31,
      "gen_ai.usage.output_tokens": 400,
    };
    const span = tracer.startSpan("model.generate", { attributes }, trace.setSpan(ROOT_CONTEXT, parent));
    span.addEvent("first_token");
    span.end();
  }
  return spans;
}

/** Microseconds of single calls of `onEnd`. Caches are cold for the first one after a pause, so it is kept apart. */
interface Calls {
  readonly first: number[];
  /** Every 16th, as a clock costs too. */
  readonly later: number[];
}

/** Microseconds of this thread a span, waiting not counted. */
async function round(producer: Producer, spans: readonly ReadableSpan[], calls: Calls): Promise<number> {
  const before = performance.eventLoopUtilization();
  for (let burst = 0; burst < BURSTS; burst++) {
    for (const [index, span] of spans.entries()) {
      if (index % TIMED_EVERY !== 0) producer.onEnd(span);
      else {
        const start = performance.now();
        producer.onEnd(span);
        (index === 0 ? calls.first : calls.later).push(1_000 * (performance.now() - start));
      }
    }
    await sleep(5);
  }
  await producer.settled();
  return (1_000 * performance.eventLoopUtilization(before).active) / (BURSTS * spans.length);
}

export async function producerCost(): Promise<{ rows: BenchRow[]; values: BenchValue[] }> {
  const rows: BenchRow[] = [];
  const values: BenchValue[] = [];
  const spans = finishedSpans();
  for (const state of ["accepting", "refusing", "hung"] satisfies CollectorState[]) {
    const collector = await startCollector(state);
    const producers = [vitrine(collector.endpoint), stock(collector.endpoint), message()];
    const calls = new Map<string, Calls>(producers.map(({ name }) => [name, { first: [], later: [] }]));
    const variants = producers.map((producer) => ({
      name: producer.name,
      round: () => round(producer, spans, calls.get(producer.name) ?? { first: [], later: [] }),
    }));
    const costs = await interleave(variants, ROUNDS);
    const own = costs.get("vitrine") ?? [];
    for (const { name } of producers.slice(1)) {
      // A stock exporter that waits for a hung collector drops all spans, which is cheap.
      const target = name.startsWith("Batch") && state !== "hung" ? { target: TARGET } : {};
      rows.push({
        name: `a span's producer, collector ${state}`,
        against: name,
        ...compare(own, costs.get(name) ?? []),
        ...target,
      });
    }
    for (const { name } of producers) {
      const { first, later } = calls.get(name) ?? { first: [], later: [] };
      for (const [which, times] of [
        ["", later],
        [" first after a pause", first],
      ] as const) {
        const [median, p99] = quantiles(times, [0.5, 0.99]);
        const prefix = `onEnd${which}, collector ${state}, ${name}`;
        values.push({ name: `${prefix}: median`, value: median ?? Number.NaN, unit: "us" });
        values.push({ name: `${prefix}: p99`, value: p99 ?? Number.NaN, unit: "us" });
      }
      const [whole] = quantiles(costs.get(name) ?? [], [0.5]);
      values.push({
        name: `all of the thread's time a span, collector ${state}, ${name}`,
        value: whole ?? Number.NaN,
        unit: "us",
      });
    }
    await Promise.all(producers.map((producer) => producer.stop()));
    await collector.stop();
  }
  return { rows, values };
}
