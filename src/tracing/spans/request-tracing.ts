import { type Context, ROOT_CONTEXT, type Tracer } from "@opentelemetry/api";
import { type Clock, WallAnchor } from "../clock.js";
import { readHeaders, writeHeaders } from "../context/propagation.js";
import { contextFrom, headersOf, headerText } from "../context/propagator.js";
import { RefusedHeaders } from "../context/refused-headers.js";
import { type HeadSampler, withSampledRequest } from "../context/sampler.js";
import { withSamplingState, zipkinTraceId } from "../context/trace-context.js";
import type { IncomingRequest, LoadRecord, RequestTrace, TracingOptions } from "../contract.js";
import { recordLoadSpans } from "./load-trace.js";
import { RecordedRequest, SERVER_KIND, serverAttributes, serverSpanName, UnrecordedRequest } from "./request-trace.js";
import { SpanMaker } from "./span-maker.js";
import type { StepTraces } from "./step-traces.js";

/** Loads are few and worth having, so a rate thins out requests only. A service that keeps no trace keeps none of these. */
function loadContext(sampler: HeadSampler): Context {
  return withSamplingState(ROOT_CONTEXT, sampler.keepsAny ? "accept" : "deny");
}

/** Starts the traces of requests and of model loads. */
export class RequestTracing {
  readonly refused: RefusedHeaders;

  constructor(
    private readonly tracer: Tracer,
    private readonly clock: Clock,
    private readonly sampler: HeadSampler,
    private readonly steps: StepTraces,
    private readonly options: Pick<TracingOptions, "propagation" | "tail" | "log">,
  ) {
    this.refused = new RefusedHeaders(options.log);
  }

  /** For one trace: its spans share one relation of the two clocks. */
  #maker(): SpanMaker {
    return new SpanMaker(this.tracer, new WallAnchor(this.clock));
  }

  load(record: LoadRecord): void {
    recordLoadSpans(this.#maker(), loadContext(this.sampler), record);
  }

  start(request: IncomingRequest): RequestTrace {
    const read = (name: string): string | undefined => headerText(request.headers[name]);
    const sent = readHeaders(read);
    this.refused.note(sent, read, request.start / 1e3);
    const caller = withSampledRequest(contextFrom(ROOT_CONTEXT, sent), request);
    const maker = this.#maker();
    const server = maker.open(serverSpanName(request), request.start, caller, serverAttributes(request), SERVER_KIND);
    const { traceId, spanId } = server.span.spanContext();
    const headers = {
      "x-b3-traceid": zipkinTraceId(traceId),
      ...writeHeaders(headersOf(server.context), ...this.options.propagation),
    };
    return server.span.isRecording()
      ? new RecordedRequest(maker, server, headers, this.steps, this.options.tail)
      : new UnrecordedRequest(traceId, spanId, headers);
  }
}
