import { type Context, ROOT_CONTEXT, type Tracer } from "@opentelemetry/api";
import { BasicTracerProvider, type IdGenerator, RandomIdGenerator } from "@opentelemetry/sdk-trace-base";
import { type Clock, systemClock, WallAnchor } from "./clock.js";
import type { IncomingRequest, RequestTrace, Tracing, TracingOptions } from "./contract.js";
import { readCounters, ThreadCounters } from "./counters.js";
import { DELIVERY_LIMITS, type DeliveryLimits } from "./delivery.js";
import { Exporter } from "./exporter.js";
import { recordLoadSpans } from "./load-trace.js";
import { NO_TRACING } from "./no-op.js";
import { readHeaders, writeHeaders } from "./propagation.js";
import { contextFrom, headersOf, headerText } from "./propagator.js";
import { RecordedRequest, SERVER_KIND, serverAttributes, serverSpanName, UnrecordedRequest } from "./request-trace.js";
import { createRing } from "./ring.js";
import { RingSpanProcessor } from "./ring-processor.js";
import { TraceIdSampler } from "./sampler.js";
import { SpanMaker } from "./span-maker.js";
import type { SpanEncoderName, ThreadData } from "./thread-messages.js";
import { withSamplingState, zipkinTraceId } from "./trace-context.js";
import { STORE_LIMITS, type StoreLimits } from "./trace-store.js";

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
  const exporter = new Exporter(threadData(options, internals, ring, counters.memory), counters, options.log);
  const processor = new RingSpanProcessor(ring);
  const provider = new BasicTracerProvider({
    sampler: new TraceIdSampler(options.sampleRate),
    idGenerator: internals.idGenerator ?? new RandomIdGenerator(),
    spanProcessors: [processor],
  });
  const requests = new RequestTracing(provider.getTracer("vitrine"), internals.clock ?? systemClock, options);
  return {
    startRequest: (request) => requests.start(request),
    recordLoad: (load) => recordLoadSpans(requests.maker(), loadContext(options.sampleRate), load),
    store: options.storeTraces ? exporter : undefined,
    counters: () => readCounters(processor.counts, counters),
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
    localEndpoint: { serviceName: options.serviceName, ...options.localEndpoint },
    ...(options.zipkinEndpoint === undefined ? {} : { zipkinEndpoint: options.zipkinEndpoint }),
    ...(options.storeTraces ? { storeLimits: internals.storeLimits ?? STORE_LIMITS } : {}),
    encoder: internals.encoder ?? "vitrine",
    deliveryLimits: internals.deliveryLimits ?? DELIVERY_LIMITS,
    drainMs: internals.drainMs ?? DRAIN_MS,
    gpuModule: internals.gpuModule ?? new URL("../gpu/sampler.js", import.meta.url).href,
    gpuDeviceId: options.gpuDeviceId ?? 0,
  };
}

/** Loads are few and worth having, so a rate thins out requests only. A rate of 0 means none of anything. */
function loadContext(sampleRate: number): Context {
  return withSamplingState(ROOT_CONTEXT, sampleRate > 0 ? "accept" : "deny");
}

class RequestTracing {
  constructor(
    private readonly tracer: Tracer,
    private readonly clock: Clock,
    private readonly options: Pick<TracingOptions, "propagation">,
  ) {}

  /** For one trace: its spans share one relation of the two clocks. */
  maker(): SpanMaker {
    return new SpanMaker(this.tracer, new WallAnchor(this.clock));
  }

  start(request: IncomingRequest): RequestTrace {
    const caller = contextFrom(
      ROOT_CONTEXT,
      readHeaders((name) => headerText(request.headers[name])),
    );
    const maker = this.maker();
    const server = maker.open(serverSpanName(request), request.start, caller, serverAttributes(request), SERVER_KIND);
    const { traceId, spanId } = server.span.spanContext();
    const headers = {
      "x-b3-traceid": zipkinTraceId(traceId),
      ...writeHeaders(headersOf(server.context), this.options.propagation),
    };
    return server.span.isRecording()
      ? new RecordedRequest(maker, server, headers)
      : new UnrecordedRequest(traceId, spanId, headers);
  }
}
