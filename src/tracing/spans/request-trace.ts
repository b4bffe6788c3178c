import { SpanKind } from "@opentelemetry/api";
import type { WireError } from "../../errors.js";
import type { CancelCause, Micros, RequestEvent } from "../../protocol.js";
import { type KeepReason, reasonToKeep, type TailPolicy } from "../context/tail-policy.js";
import { isSampled } from "../context/trace-context.js";
import type { GenerateAttributes, IncomingRequest, RequestTrace } from "../contract.js";
import { ChoiceSpans } from "./choice-spans.js";
import { EnginePhases, type EngineSpans, failureOf, setTotals } from "./engine-phases.js";
import { generateAttributes } from "./generate-attributes.js";
import { type OpenSpan, type SpanAttributes, setAttributes } from "./open-span.js";
import { rounded, type SpanMaker, seconds } from "./span-maker.js";
import { SteppedRequest, type StepTraces } from "./step-traces.js";

/** What a request came to, as `ai.outcome` says it. */
interface Ending {
  readonly outcome: "finished" | "cancelled" | "failed" | "refused";
  readonly cause?: CancelCause;
  readonly error?: WireError;
}

const CANCELLING: Readonly<Partial<Record<WireError["code"], CancelCause>>> = {
  client_closed: "client_gone",
  request_timeout: "timeout",
  draining: "drain",
};

/** The spans of one request that is sampled, or that may be kept because of how it ends. */
export class RecordedRequest implements RequestTrace {
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
  readonly recorded = true;
  readonly #inSteps = new SteppedRequest(this);
  #reason: KeepReason | undefined;
  #generate: OpenSpan | undefined;
  #phases: EngineSpans | undefined;
  #finished = false;

  constructor(
    private readonly maker: SpanMaker,
    private readonly server: OpenSpan,
    private readonly headers: Record<string, string>,
    private readonly steps: StepTraces,
    private readonly tail: TailPolicy | undefined,
  ) {
    const context = server.span.spanContext();
    ({ traceId: this.traceId, spanId: this.spanId } = context);
    this.sampled = isSampled(context);
  }

  get kept(): boolean {
    return this.sampled || this.#reason !== undefined;
  }

  responseHeaders(): Record<string, string> {
    return { ...this.headers };
  }

  generating(start: Micros, attributes: GenerateAttributes): void {
    if (this.#finished || this.#generate !== undefined) return;
    this.#generate = this.maker.open("model.generate", start, this.server, {});
    // Not as it begins: OpenTelemetry would check each of them three times.
    setAttributes(this.#generate, generateAttributes(attributes));
    this.#phases =
      attributes.choices === undefined
        ? new EnginePhases(this.maker, this.#generate)
        : new ChoiceSpans(this.maker, this.#generate, attributes.choices);
  }

  tokenized(start: Micros, end: Micros, promptTokens: number | undefined, error?: WireError): void {
    if (this.#finished) return;
    const parent = this.#generate ?? this.server;
    const failure = error === undefined ? undefined : endingOf(error, false).error;
    this.maker.add("tokenize", start, end, parent, { "ai.prompt.length": promptTokens }, failure);
    setAttributes(parent, { "ai.prompt.length": promptTokens, "gen_ai.usage.input_tokens": promptTokens });
    if (error === undefined) this.#phases?.submitted(end);
  }

  observe(event: RequestEvent): void {
    if (this.#finished) return;
    this.#phases?.observe(event);
    if (event.type === "admitted") this.steps.join(event.id, this.#inSteps);
    // A first token that came late is known to be a reason before the request ends.
    if (event.type === "token" && event.at === this.#phases?.firstTokenAt) {
      this.#judge({ failed: false, cancelled: false, at: event.at });
    }
  }

  wrote(span: { readonly name: "stream" | "detokenize"; start: Micros; end: Micros; chunks: number }): void {
    if (this.#finished) return;
    this.maker.add(span.name, span.start, span.end, this.#generate ?? this.server, { "ai.chunks": span.chunks });
  }

  finish(result: { readonly status: number; readonly at: Micros; readonly error?: WireError }): void {
    if (this.#finished) return;
    this.#finished = true;
    const ending = this.#ending(result.error);
    // Refused means it never waited: there is no open phase to close.
    if (ending.outcome !== "refused") this.#phases?.close(result.at, ending.error);
    const at = Math.max(result.at, this.maker.latest);
    if (this.#generate !== undefined) this.#endGenerate(this.#generate, at, ending);
    const callersFault = result.status >= 400 && result.status < 500;
    const failed = !callersFault && (ending.error !== undefined || result.status >= 500);
    this.#judge({ failed, cancelled: ending.outcome === "cancelled", at });
    // Before its last span: with it, all that its trace names is there.
    this.steps.leave(this.#inSteps);
    setAttributes(this.server, { "http.status_code": result.status, "sampling.reason": this.#reason });
    // A client that left is answered 499 by convention, and is no failure of this service.
    const bare = result.status >= 400 && ending.cause === undefined ? { status: result.status } : undefined;
    this.maker.end(this.server, at, ending.error ?? bare);
  }

  /** Looks for a reason to keep a trace that was not sampled, in what is known `at` this moment. */
  #judge({ failed, cancelled, at }: { failed: boolean; cancelled: boolean; at: Micros }): void {
    if (this.sampled || this.tail === undefined) return;
    const totalMs = (at - this.server.start) / 1e3;
    const first = this.#phases?.firstTokenAt;
    const waited = first === undefined ? totalMs : (first - this.server.start) / 1e3;
    const ttftMs = this.#generate === undefined ? undefined : waited;
    this.#reason = reasonToKeep(this.tail, { failed, cancelled, ttftMs, totalMs });
  }

  #endGenerate(generate: OpenSpan, at: Micros, ending: Ending): void {
    const totals = this.#phases?.totals();
    const first = totals?.firstTokenAt;
    const ttft = first === undefined ? undefined : first - this.server.start;
    if (totals !== undefined) setTotals(generate, totals);
    setAttributes(generate, {
      "ai.outcome": ending.outcome,
      "ai.cancel.cause": ending.cause,
      "ai.ttft_ms": ttft === undefined ? undefined : rounded(ttft / 1e3, 3),
      "gen_ai.latency.time_to_first_token": ttft === undefined ? undefined : seconds(ttft),
      "gen_ai.response.time_to_first_chunk": ttft === undefined ? undefined : seconds(ttft),
      "gen_ai.latency.e2e": seconds(at - this.server.start),
      "ai.steps.lost": this.#inSteps.lost > 0 ? this.#inSteps.lost : undefined,
    });
    this.maker.end(generate, at, ending.error);
  }

  /** The engine's word on how it ended, else what the response says. */
  #ending(error: WireError | undefined): Ending {
    const outcome = this.#phases?.outcome;
    if (outcome !== undefined) {
      // A response that failed after the engine was done (a broken detokenizer) failed all the same.
      const late = outcome.kind === "finished" && error !== undefined ? endingOf(error, true) : undefined;
      if (late !== undefined) return late;
      const failure = failureOf(outcome);
      const told = failure === undefined ? {} : { error: error ?? failure };
      return { outcome: outcome.kind, ...(outcome.kind === "cancelled" ? { cause: outcome.cause } : {}), ...told };
    }
    return error === undefined ? { outcome: "finished" } : endingOf(error, false);
  }
}

/** Of the request itself, where others were refused before it began. */
const FAILURES: ReadonlySet<string> = new Set(["engine_lost", "inference_failed", "out_of_memory", "internal"]);

function endingOf(error: WireError, served: boolean): Ending {
  if (error.code === "client_closed") return { outcome: "cancelled", cause: "client_gone" };
  const cause = CANCELLING[error.code];
  if (cause === "timeout" || (cause === "drain" && served)) return { outcome: "cancelled", cause, error };
  const failed = served || FAILURES.has(error.code);
  return { outcome: failed ? "failed" : "refused", error };
}

/** A request whose trace is not recorded: it has ids for logs and headers, and no spans. */
export class UnrecordedRequest implements RequestTrace {
  readonly sampled = false;
  readonly recorded = false;
  readonly kept = false;

  constructor(
    readonly traceId: string,
    readonly spanId: string,
    private readonly headers: Record<string, string>,
  ) {}

  responseHeaders(): Record<string, string> {
    return { ...this.headers };
  }

  generating(): void {}
  tokenized(): void {}
  observe(): void {}
  wrote(): void {}
  finish(): void {}
}

export function serverSpanName({ method, path }: IncomingRequest): string {
  return `${method} ${path}`;
}

export function serverAttributes({ method, path, remote }: IncomingRequest): SpanAttributes {
  return {
    "http.method": method,
    "http.path": path,
    "network.peer.address": remote.address,
    "network.peer.port": remote.port,
  };
}

export const SERVER_KIND = SpanKind.SERVER;
