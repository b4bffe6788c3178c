import { BasicTracerProvider, type IdGenerator, RandomIdGenerator } from "@opentelemetry/sdk-trace-node";
import { type Clock, systemClock } from "./clock.js";
import { HeadSampler } from "./context/sampler.js";
import { keepsAnyEnding } from "./context/tail-policy.js";
import type { Tracing, TracingOptions } from "./contract.js";
import { readCounters, ThreadCounters } from "./counters.js";
import { DELIVERY_LIMITS, type DeliveryLimits } from "./export/delivery.js";
import type { Destination } from "./export/destination.js";
import { DeviceEnergy } from "./export/device-energy.js";
import { Exporter } from "./export/exporter.js";
import { createRing } from "./export/ring.js";
import { RingSpanProcessor } from "./export/ring-processor.js";
import { claimSpool } from "./export/spool-lock.js";
import { TAIL_LIMITS } from "./export/tail-sampler.js";
import type { ThreadData } from "./export/thread-messages.js";
import { HEARTBEAT_MS } from "./export/thread-watch.js";
import { readTlsFiles } from "./export/tls-files.js";
import { NO_TRACING } from "./no-op.js";
import { RequestTracing } from "./spans/request-tracing.js";
import { StepTraces } from "./spans/step-traces.js";
import { TraceIds } from "./spans/trace-ids.js";
import { STORE_LIMITS, type StoreLimits } from "./store/trace-store.js";

export type * from "./contract.js";

/** What tests and experiments replace; the defaults serve. */
export interface TracingInternals {
  readonly clock: Clock;
  readonly idGenerator: IdGenerator;
  /** A power of two. */
  readonly ringBytes: number;
  readonly drainMs: number;
  /** A thread that hangs is noticed after some 15 to 20 of these. */
  readonly heartbeatMs: number;
  readonly storeLimits: StoreLimits;
  readonly deliveryLimits: DeliveryLimits;
  readonly gpuModule: string;
}

/** Room for some ten thousand spans between two looks of the export thread. */
const RING_BYTES = 4 * 2 ** 20;
const DRAIN_MS = 50;

/** Decides once whether anything is traced; when not, every method of the result does nothing. */
export function createTracing(options: TracingOptions, internals: Partial<TracingInternals> = {}): Tracing {
  const { destinations = [] } = options;
  if (destinations.length === 0 && !options.storeTraces) return NO_TRACING;
  const releaseSpools = prepareFiles(destinations);
  const ring = createRing(internals.ringBytes ?? RING_BYTES);
  const primary = new ThreadCounters();
  const counters = [primary, ...destinations.slice(1).map(() => new ThreadCounters())];
  const data = threadData(options, internals, ring, counters);
  const energy = new DeviceEnergy(data.gpuEnergy);
  const processor = new RingSpanProcessor(ring);
  const exporter = new Exporter(data, counters, processor.counts, options.log);
  const sampler = headSampler(options);
  const ids = new TraceIds(internals.idGenerator ?? new RandomIdGenerator());
  const provider = new BasicTracerProvider({ sampler, idGenerator: ids, spanProcessors: [processor] });
  const tracer = provider.getTracer("vitrine");
  const clock = internals.clock ?? systemClock;
  const steps = new StepTraces(tracer, clock, ids);
  const requests = new RequestTracing(tracer, clock, sampler, steps, options);
  return {
    get sampling() {
      return sampler.policy;
    },
    set sampling(policy) {
      sampler.policy = policy;
    },
    startRequest: (request) => requests.start(request),
    recordLoad: (load) => requests.load(load),
    recordStep: (step, run) => steps.record(step, run),
    store: options.storeTraces ? exporter : undefined,
    counters: () => readCounters(processor.counts, primary),
    destinations: () =>
      destinations.map(({ kind }, i) => ({ kind, counters: readCounters(processor.counts, counters[i] ?? primary) })),
    refusedHeaders: () => requests.refused.counts,
    cost: {
      pricePerDeviceHour: options.pricePerDeviceHour,
      joules: (device) => {
        const index = data.gpuDeviceIds.findIndex((id) => device === `cuda:${id}`);
        return index < 0 ? undefined : energy.joules(index, Date.now() * 1e3);
      },
    },
    gpus: () => exporter.gpus(),
    listening: (port) => void Atomics.store(new Int32Array(data.port), 0, port),
    shutdown: (timeoutMs) => exporter.shutdown(timeoutMs).finally(releaseSpools),
  };
}

/**
 * What is wrong with the destinations' files is told at start. Throws VitrineError `config_invalid`. Their spools are this process's
 * until the returned function is called.
 */
function prepareFiles(destinations: readonly Destination[]): () => void {
  const claims: (() => void)[] = [];
  const release = () => {
    for (const each of claims.splice(0)) each();
  };
  try {
    for (const each of destinations) {
      if (each.kind === "zipkin" && each.tls !== undefined) readTlsFiles(each.tls);
      if (each.spool !== undefined) claims.push(claimSpool(each.spool.directory));
    }
  } catch (error) {
    release();
    throw error;
  }
  return release;
}

/** Without an ending that would keep them, traces that are not sampled are not recorded, and cost nothing. */
function headSampler({ tail, model, ...options }: TracingOptions): HeadSampler {
  const { sampleRate: rate, sampleLimit: limit = null, samplingRules: rules = [] } = options;
  return new HeadSampler(
    { rate, limit, rules },
    {
      recordAll: tail !== undefined && keepsAnyEnding(tail),
      ...(model === undefined ? {} : { model }),
    },
  );
}

/** A request may take some time to end after its time is up. */
const TAIL_GRACE_MS = 60_000;

function threadData(
  options: TracingOptions,
  internals: Partial<TracingInternals>,
  ring: SharedArrayBuffer,
  counters: readonly ThreadCounters[],
): ThreadData {
  const { gpuDeviceIds = [0] } = options;
  return {
    ring,
    counters: counters.map(({ memory }) => memory),
    destinations: options.destinations ?? [],
    port: new SharedArrayBuffer(4),
    heartbeat: new SharedArrayBuffer(4),
    heartbeatMs: internals.heartbeatMs ?? HEARTBEAT_MS,
    localEndpoint: { serviceName: options.serviceName, ...options.localEndpoint },
    ...(options.storeTraces ? { storeLimits: internals.storeLimits ?? STORE_LIMITS } : {}),
    ...(options.tail === undefined
      ? {}
      : { tailLimits: { ...TAIL_LIMITS, ageMs: options.tail.longestMs + TAIL_GRACE_MS } }),
    ...(options.pricePerDeviceHour === undefined ? {} : { pricePerDeviceHour: options.pricePerDeviceHour }),
    deliveryLimits: internals.deliveryLimits ?? DELIVERY_LIMITS,
    drainMs: internals.drainMs ?? DRAIN_MS,
    gpuModule: internals.gpuModule ?? new URL("../gpu/sampler.js", import.meta.url).href,
    gpuDeviceIds,
    gpuEnergy: DeviceEnergy.of(gpuDeviceIds.length).memory,
  };
}
