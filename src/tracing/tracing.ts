import { BasicTracerProvider, type IdGenerator, RandomIdGenerator } from "@opentelemetry/sdk-trace-node";
import { type Clock, systemClock } from "./clock.js";
import { HeadSampler } from "./context/sampler.js";
import { keepsAnyEnding } from "./context/tail-policy.js";
import type { Tracing, TracingOptions } from "./contract.js";
import { NO_TRACING } from "./no-op.js";
import { createSpanExport, type SpanExportInternals } from "./span-export.js";
import { RequestTracing } from "./spans/request-tracing.js";
import { StepTraces } from "./spans/step-traces.js";
import { TraceIds } from "./spans/trace-ids.js";

export type * from "./contract.js";

/** What tests and experiments replace; the defaults serve. */
export interface TracingInternals extends SpanExportInternals {
  readonly clock: Clock;
  readonly idGenerator: IdGenerator;
}

/** Decides once whether anything is traced; when not, every method of the result does nothing. */
export function createTracing(options: TracingOptions, internals: Partial<TracingInternals> = {}): Tracing {
  const { destinations = [], pricePerDeviceHour } = options;
  if (destinations.length === 0 && !options.storeTraces) return NO_TRACING;
  const exported = createSpanExport(options, internals);
  const sampler = headSampler(options);
  const ids = new TraceIds(internals.idGenerator ?? new RandomIdGenerator());
  const provider = new BasicTracerProvider({ sampler, idGenerator: ids, spanProcessors: [exported.processor] });
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
    store: exported.store,
    counters: () => exported.counters(),
    destinations: () => exported.destinations(),
    refusedHeaders: () => requests.refused.counts,
    cost: { pricePerDeviceHour, joules: (device) => exported.joules(device) },
    gpus: () => exported.gpus(),
    listening: (port) => exported.listening(port),
    shutdown: (timeoutMs) => exported.shutdown(timeoutMs),
  };
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
