import { BasicTracerProvider, type IdGenerator, RandomIdGenerator } from "@opentelemetry/sdk-trace-node";
import { type Clock, systemClock } from "./clock.js";
import { TraceIdSampler } from "./context/sampler.js";
import type { Tracing, TracingOptions } from "./contract.js";
import { readCounters, ThreadCounters } from "./counters.js";
import { DELIVERY_LIMITS, type DeliveryLimits } from "./export/delivery.js";
import { Exporter } from "./export/exporter.js";
import { createRing } from "./export/ring.js";
import { RingSpanProcessor } from "./export/ring-processor.js";
import type { SpanEncoderName, ThreadData } from "./export/thread-messages.js";
import { NO_TRACING } from "./no-op.js";
import { RequestTracing } from "./spans/request-tracing.js";
import { STORE_LIMITS, type StoreLimits } from "./store/trace-store.js";

export type * from "./contract.js";

/** What tests and experiments replace; the defaults serve. */
export interface TracingInternals {
  readonly clock: Clock;
  readonly idGenerator: IdGenerator;
  readonly encoder: SpanEncoderName;
  /** A power of two. */
  readonly ringBytes: number;
  readonly drainMs: number;
  readonly storeLimits: StoreLimits;
  readonly deliveryLimits: DeliveryLimits;
  readonly gpuModule: string;
}

/** Room for some ten thousand spans between two looks of the export thread. */
const RING_BYTES = 4 * 2 ** 20;
const DRAIN_MS = 50;

/** Decides once whether anything is traced; when not, every method of the result does nothing. */
export function createTracing(options: TracingOptions, internals: Partial<TracingInternals> = {}): Tracing {
  if (options.zipkinEndpoint === undefined && !options.storeTraces) return NO_TRACING;
  const ring = createRing(internals.ringBytes ?? RING_BYTES);
  const counters = new ThreadCounters();
  const data = threadData(options, internals, ring, counters.memory);
  const exporter = new Exporter(data, counters, options.log);
  const processor = new RingSpanProcessor(ring);
  const provider = new BasicTracerProvider({
    sampler: new TraceIdSampler(options.sampleRate),
    idGenerator: internals.idGenerator ?? new RandomIdGenerator(),
    spanProcessors: [processor],
  });
  const requests = new RequestTracing(provider.getTracer("vitrine"), internals.clock ?? systemClock, options);
  return {
    startRequest: (request) => requests.start(request),
    recordLoad: (load) => requests.load(load),
    store: options.storeTraces ? exporter : undefined,
    counters: () => readCounters(processor.counts, counters),
    refusedHeaders: () => requests.refused.counts,
    listening: (port) => void Atomics.store(new Int32Array(data.port), 0, port),
    shutdown: (timeoutMs) => exporter.shutdown(timeoutMs),
  };
}

function threadData(
  options: TracingOptions,
  internals: Partial<TracingInternals>,
  ring: SharedArrayBuffer,
  counters: SharedArrayBuffer,
): ThreadData {
  return {
    ring,
    counters,
    port: new SharedArrayBuffer(4),
    localEndpoint: { serviceName: options.serviceName, ...options.localEndpoint },
    ...(options.zipkinEndpoint === undefined ? {} : { zipkinEndpoint: options.zipkinEndpoint }),
    ...(options.storeTraces ? { storeLimits: internals.storeLimits ?? STORE_LIMITS } : {}),
    ...(options.pricePerDeviceHour === undefined ? {} : { pricePerDeviceHour: options.pricePerDeviceHour }),
    encoder: internals.encoder ?? "vitrine",
    deliveryLimits: internals.deliveryLimits ?? DELIVERY_LIMITS,
    drainMs: internals.drainMs ?? DRAIN_MS,
    gpuModule: internals.gpuModule ?? new URL("../gpu/sampler.js", import.meta.url).href,
    gpuDeviceIds: options.gpuDeviceIds ?? [0],
  };
}
