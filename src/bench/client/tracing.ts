/**
 * Spans of the harness, sent through the same ring and export thread as the server's. Each request is the root of a
 * trace of its own; the run is a trace beside them, and `bench.run_id` in every span joins them.
 */
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, type Tracer } from "@opentelemetry/api";
import { AlwaysOnSampler, BasicTracerProvider, RandomIdGenerator } from "@opentelemetry/sdk-trace-node";
import { WallAnchor, wallMicros } from "../../tracing/clock.js";
import type { PropagationFormat } from "../../tracing/context/propagation.js";
import { writeHeaders } from "../../tracing/context/propagation.js";
import type { ExportCounters } from "../../tracing/contract.js";
import { createSpanExport } from "../../tracing/span-export.js";
import { type OpenSpan, setAttributes } from "../../tracing/spans/open-span.js";
import { SpanMaker } from "../../tracing/spans/span-maker.js";
import type { BenchClock } from "../load/clock.js";
import type { Answer } from "./exchange.js";
import { failureOf } from "./failure.js";

export interface BenchTracingOptions {
  readonly clock: Pick<BenchClock, "now">;
  readonly runId: string;
  /** Full URL of a Zipkin collector; without one there are no spans of the harness. */
  readonly zipkinEndpoint: string | undefined;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

/** What is known of a request before it is sent. */
export interface TracedRequest {
  readonly path: string;
  readonly model: string;
  /** Name of the load point. */
  readonly load: string;
  readonly repeat: number;
  readonly intended: number;
}

/** One request's span, open from when it was due. */
export interface RequestSpan {
  readonly traceId: string;
  readonly headers: Readonly<Record<string, string>>;
  end(answer: Answer): void;
}

export interface BenchTracing {
  request(request: TracedRequest, formats: readonly PropagationFormat[]): RequestSpan;
  /** The span of the whole run, from the clock's beginning until now. */
  run(attributes: { readonly requests: number; readonly model: string }): void;
  /** What became of the spans; undefined where there are none. */
  counters(): ExportCounters | undefined;
  /** Sends what is left, within so many milliseconds. */
  shutdown(timeoutMs: number): Promise<void>;
}

const SERVICE = "vitrine-bench";

export function createBenchTracing(options: BenchTracingOptions): BenchTracing {
  const { zipkinEndpoint: endpoint } = options;
  if (endpoint === undefined) return HEADERS_ONLY;
  const spans = createSpanExport({
    serviceName: SERVICE,
    destinations: [{ kind: "zipkin", endpoint }],
    storeTraces: false,
    localEndpoint: {},
    gpuDeviceIds: [],
    log: options.log,
  });
  const provider = new BasicTracerProvider({ sampler: new AlwaysOnSampler(), spanProcessors: [spans.processor] });
  return new RingTracing(provider.getTracer(SERVICE), options, spans);
}

const ids = new RandomIdGenerator();

/** Every request still has a trace of its own, which the target may keep or not as it does by itself. */
const HEADERS_ONLY: BenchTracing = {
  request(_request, formats) {
    const [traceId, spanId] = [ids.generateTraceId(), ids.generateSpanId()];
    return { traceId, headers: writeHeaders({ ids: { traceId, spanId }, sampling: "defer" }, ...formats), end() {} };
  },
  run() {},
  counters: () => undefined,
  async shutdown() {},
};

class RingTracing implements BenchTracing {
  readonly counters: BenchTracing["counters"];
  readonly shutdown: BenchTracing["shutdown"];

  constructor(
    private readonly tracer: Tracer,
    private readonly options: BenchTracingOptions,
    own: Pick<BenchTracing, "counters" | "shutdown">,
  ) {
    this.counters = own.counters;
    this.shutdown = own.shutdown;
  }

  request({ path, model, load, repeat, intended }: TracedRequest, formats: readonly PropagationFormat[]) {
    const { runId } = this.options;
    const maker = this.#maker();
    const open = maker.open(
      `post ${path}`,
      intended * 1e3,
      ROOT_CONTEXT,
      {
        "http.method": "POST",
        "http.path": path,
        "gen_ai.request.model": model,
        "bench.run_id": runId,
        "bench.load": load,
        "bench.repeat": repeat,
      },
      SpanKind.CLIENT,
    );
    const { traceId, spanId } = open.span.spanContext();
    const headers = writeHeaders({ ids: { traceId, spanId }, sampling: "accept" }, ...formats);
    return { traceId, headers, end: (answer: Answer) => endRequest(maker, open, answer) };
  }

  run({ requests, model }: { readonly requests: number; readonly model: string }): void {
    const { clock, runId } = this.options;
    const attributes = { "bench.run_id": runId, "bench.requests": requests, "gen_ai.request.model": model };
    const maker = this.#maker();
    maker.end(maker.open("bench.run", 0, ROOT_CONTEXT, attributes), clock.now() * 1e3);
  }

  #maker(): SpanMaker {
    const { clock } = this.options;
    return new SpanMaker(this.tracer, new WallAnchor({ wall: wallMicros, monotonic: () => clock.now() * 1e3 }));
  }
}

function endRequest(maker: SpanMaker, open: OpenSpan, { sent, end, status, outcome, reader }: Answer): void {
  maker.annotate(open, "sent", sent * 1e3);
  if (reader.firstToken !== undefined) maker.annotate(open, "first_token", reader.firstToken * 1e3);
  const failure = failureOf(outcome);
  setAttributes(open, {
    "http.status_code": status,
    "ai.outcome": outcome.kind,
    "error.type": failure,
    "gen_ai.usage.input_tokens": reader.promptTokens,
    "gen_ai.usage.output_tokens": reader.outputTokens,
  });
  if (failure !== undefined) open.span.setStatus({ code: SpanStatusCode.ERROR, message: failure });
  maker.end(open, end * 1e3);
}
