/** Drives request traces with clocks and ids of the test's own, through codec and ring, into a store, on one thread. */
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-node";
import type { SamplingParams } from "../../../src/protocol.js";
import { HeadSampler } from "../../../src/tracing/context/sampler.js";
import type { GenerateAttributes, IncomingRequest, TracingOptions } from "../../../src/tracing/contract.js";
import { ThreadCounters } from "../../../src/tracing/counters.js";
import { ExportPipeline } from "../../../src/tracing/export/export-pipeline.js";
import { createRing } from "../../../src/tracing/export/ring.js";
import { RingSpanProcessor } from "../../../src/tracing/export/ring-processor.js";
import { TAIL_LIMITS, TailSampler } from "../../../src/tracing/export/tail-sampler.js";
import { ZipkinEncoder } from "../../../src/tracing/export/zipkin-json.js";
import type { ZipkinSpan } from "../../../src/tracing/export/zipkin-span.js";
import { LeafSpans } from "../../../src/tracing/spans/leaf-spans.js";
import { RequestTracing } from "../../../src/tracing/spans/request-tracing.js";
import { type StepLimits, StepTraces } from "../../../src/tracing/spans/step-traces.js";
import { TraceIds } from "../../../src/tracing/spans/trace-ids.js";
import { TraceStore } from "../../../src/tracing/store/trace-store.js";

/** Microseconds since the epoch at monotonic time 0. */
export const EPOCH = 1_700_000_000_000_000;

export class Harness {
  readonly store = new TraceStore();
  readonly requests: RequestTracing;
  readonly steps: StepTraces;
  readonly #pipeline: ExportPipeline;
  readonly processor: RingSpanProcessor;
  readonly counters = new ThreadCounters();
  readonly log: string[] = [];

  constructor(
    options: Partial<Pick<TracingOptions, "propagation" | "sampleRate" | "tail">> = {},
    steps: StepLimits = { held: 100, batch: 1 },
  ) {
    const { propagation = ["b3multi"], sampleRate = 1, tail } = options;
    const ring = createRing(2 ** 20);
    this.processor = new RingSpanProcessor(ring);
    const limits = { ...TAIL_LIMITS, ageMs: 1_000 };
    const encoder = new ZipkinEncoder({ serviceName: "vitrine" });
    this.#pipeline = new ExportPipeline(ring, () => encoder, {
      collectors: [],
      counters: this.counters,
      store: this.store,
      ...(tail === undefined ? {} : { tail: new TailSampler(limits, this.counters, () => 0) }),
    });
    const policy = { rate: sampleRate, limit: null, rules: [] };
    const sampler = new HeadSampler(policy, { recordAll: tail !== undefined });
    let spans = 0;
    let traces = 0;
    const ids = new TraceIds({
      generateSpanId: () => (++spans).toString(16).padStart(16, "0"),
      generateTraceId: () => `aa${(++traces).toString(16).padStart(30, "0")}`,
    });
    const provider = new BasicTracerProvider({ sampler, idGenerator: ids, spanProcessors: [this.processor] });
    const tracer = provider.getTracer("test");
    const clock = { wall: () => EPOCH, monotonic: () => 0 };
    this.steps = new StepTraces(tracer, clock, ids, steps);
    this.requests = new RequestTracing(tracer, new LeafSpans(ids, this.processor), clock, sampler, this.steps, {
      propagation,
      ...(tail === undefined ? {} : { tail }),
      log: (_, line) => void this.log.push(line),
    });
  }

  drain(): void {
    this.#pipeline.drain();
  }

  /** Spans of the only trace there is. */
  spans(): readonly ZipkinSpan[] {
    this.drain();
    const traces = [...this.store.traces()];
    if (traces.length !== 1) throw new Error(`expected one trace, found ${traces.length}`);
    return traces[0]?.spans ?? [];
  }

  /** The only span of that name; `phase` tells forward spans apart. */
  span(name: string, phase?: string): ZipkinSpan {
    const found = this.spans().filter((span) => span.name === name && (!phase || span.tags?.["ai.phase"] === phase));
    const [only] = found;
    if (only === undefined || found.length !== 1) throw new Error(`expected one span ${name}, found ${found.length}`);
    return only;
  }

  /** Names in the tree's order, indented by depth, siblings by time. */
  tree(): string[] {
    const spans = [...this.spans()].sort((one, other) => one.timestamp - other.timestamp);
    const ids = new Set(spans.map(({ id }) => id));
    const below = (parent: string | undefined, depth: number): string[] =>
      spans
        .filter(({ parentId }) => (parentId !== undefined && ids.has(parentId) ? parentId : undefined) === parent)
        .flatMap((span) => {
          const phase = span.tags?.["ai.phase"];
          const label = phase === undefined ? span.name : `${span.name} ${phase}`;
          const { error, "error.type": type } = span.tags ?? {};
          const mark =
            error === undefined && type === undefined ? "" : ` !${type === error ? type : `${type}: ${error}`}`;
          return [`${"  ".repeat(depth)}${label}${mark}`, ...below(span.id, depth + 1)];
        });
    return below(undefined, 0);
  }
}

export const INCOMING: IncomingRequest = {
  method: "POST",
  path: "/v1/chat/completions",
  headers: {},
  start: 0,
  remote: { address: "::ffff:10.0.0.9", port: 50_123 },
};

const SAMPLING: SamplingParams = {
  temperature: 0,
  topP: 0.9,
  topK: 50,
  minP: 0.05,
  typicalP: 1,
  logitBias: [],
  minTokens: 0,
  repetitionPenalty: 1.1,
  presencePenalty: 0.5,
  frequencyPenalty: 0.25,
  seed: 42,
};

export const GENERATE: GenerateAttributes = {
  model: "tiny",
  operation: "chat",
  stream: true,
  maxTokens: 16,
  sampling: SAMPLING,
  n: 1,
  responseFormat: undefined,
  priority: 0,
  user: { current: "0123abcd", previous: "4567cdef" },
  apiKey: { current: "89ab0123" },
};
