/** Where ended spans go: the ring, the export thread behind it, and the counters of both. */
import type { ReadableSpan } from "@opentelemetry/sdk-trace-node";
import type { DestinationCounters, EmbeddedStore, ExportCounters, Tracing, TracingOptions } from "./contract.js";
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
import { STORE_LIMITS, type StoreLimits } from "./store/trace-store.js";

/** What is exported, from whom and where to; a service's `TracingOptions` say it, too. */
export interface SpanExportOptions
  extends Pick<
    TracingOptions,
    | "serviceName"
    | "destinations"
    | "tail"
    | "storeTraces"
    | "localEndpoint"
    | "pricePerDeviceHour"
    | "gpuDeviceIds"
    | "log"
  > {
  /** Attributes of every span of this process: OpenTelemetry's resource, without the service's name. */
  readonly resource?: Readonly<Record<string, string>>;
  /** Spans that may have attributes beyond the allow-list; none when absent. */
  readonly isFree?: (span: ReadableSpan) => boolean;
}

/** What tests and experiments replace; the defaults serve. */
export interface SpanExportInternals {
  /** A power of two. */
  readonly ringBytes: number;
  readonly drainMs: number;
  /** A thread that hangs is noticed after some 15 to 20 of these. */
  readonly heartbeatMs: number;
  readonly storeLimits: StoreLimits;
  readonly deliveryLimits: DeliveryLimits;
  readonly gpuModule: string;
}

export interface SpanExport {
  /** For the tracer provider. */
  readonly processor: RingSpanProcessor;
  readonly store: EmbeddedStore | undefined;
  /** Of the first destination; without one, of the embedded store. */
  counters(): ExportCounters;
  /** Of each destination, in the order of the options. */
  destinations(): readonly DestinationCounters[];
  /** What the device (`cuda:0`) has used since it is watched; undefined where that is not known. */
  joules(device: string): number | undefined;
  /** What the watched GPUs tell now. */
  gpus: Tracing["gpus"];
  /** The process listens on `port`, which the spans sent from now on say. */
  listening(port: number): void;
  /** Flushes what it can within `timeoutMs`, then stops the export thread. */
  shutdown(timeoutMs: number): Promise<void>;
  /** The same, blocking the calling thread: for a process that is about to end. */
  shutdownNow(timeoutMs: number): void;
}

/** Room for some ten thousand spans between two looks of the export thread. */
const RING_BYTES = 4 * 2 ** 20;
const DRAIN_MS = 50;

/** Starts the export thread. Throws VitrineError `config_invalid` where a destination's files are not as they should be. */
export function createSpanExport(options: SpanExportOptions, internals: Partial<SpanExportInternals> = {}): SpanExport {
  const { destinations = [] } = options;
  const releaseSpools = prepareFiles(destinations);
  const ring = createRing(internals.ringBytes ?? RING_BYTES);
  const primary = new ThreadCounters();
  const counters = [primary, ...destinations.slice(1).map(() => new ThreadCounters())];
  const data = threadData(options, internals, ring, counters);
  const energy = new DeviceEnergy(data.gpuEnergy);
  const processor = new RingSpanProcessor(ring, options.isFree);
  const exporter = new Exporter(data, counters, processor.counts, options.log);
  return {
    processor,
    store: options.storeTraces ? exporter : undefined,
    counters: () => readCounters(processor.counts, primary),
    destinations: () =>
      destinations.map(({ kind }, i) => ({ kind, counters: readCounters(processor.counts, counters[i] ?? primary) })),
    joules: (device) => {
      const index = data.gpuDeviceIds.findIndex((id) => device === `cuda:${id}`);
      return index < 0 ? undefined : energy.joules(index, Date.now() * 1e3);
    },
    gpus: () => exporter.gpus(),
    listening: (port) => void Atomics.store(new Int32Array(data.port), 0, port),
    shutdown: (timeoutMs) => exporter.shutdown(timeoutMs).finally(releaseSpools),
    shutdownNow: (timeoutMs) => {
      exporter.shutdownNow(timeoutMs);
      releaseSpools();
    },
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

/** A request may take some time to end after its time is up. */
const TAIL_GRACE_MS = 60_000;

function threadData(
  options: SpanExportOptions,
  internals: Partial<SpanExportInternals>,
  ring: SharedArrayBuffer,
  counters: readonly ThreadCounters[],
): ThreadData {
  const { gpuDeviceIds = [0] } = options;
  return {
    ring,
    counters: counters.map(({ memory }) => memory),
    destinations: options.destinations ?? [],
    port: new SharedArrayBuffer(4),
    flushed: new SharedArrayBuffer(4),
    heartbeat: new SharedArrayBuffer(4),
    heartbeatMs: internals.heartbeatMs ?? HEARTBEAT_MS,
    localEndpoint: { serviceName: options.serviceName, ...options.localEndpoint },
    ...(options.resource === undefined ? {} : { resource: options.resource }),
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
