import { ROOT_CONTEXT, type Tracer } from "@opentelemetry/api";
import type { EngineRun, RequestId, StepStats } from "../../protocol.js";
import { type Clock, WallAnchor } from "../clock.js";
import { withSamplingState, zipkinTraceId } from "../context/trace-context.js";
import type { RequestTrace } from "../contract.js";
import { deviceName } from "./device-attributes.js";
import type { SpanAttributes } from "./open-span.js";
import { rounded, SpanMaker } from "./span-maker.js";
import { stepTraceId, type TraceIds } from "./trace-ids.js";

export interface StepLimits {
  /** Steps that wait for their requests to be decided. */
  readonly held: number;
  /** Steps that are told together: code that runs once a millisecond, beside a busy engine, runs on cold caches. */
  readonly batch: number;
}

/** Those held are some 4 MB. */
const LIMITS: StepLimits = { held: 10_000, batch: 32 };
/** Requests that a step names. */
const MOST_NAMED = 64;

/** A request's part in steps. */
export class SteppedRequest {
  /** Its requests at the engine: one a choice. */
  readonly ids: RequestId[] = [];
  /** Steps that wait for it. */
  readonly held = new Set<HeldStep>();
  /** Steps that could not wait, and do not name it. */
  lost = 0;

  constructor(readonly trace: Pick<RequestTrace, "traceId" | "kept">) {}
}

interface HeldStep {
  readonly step: StepStats;
  readonly run: EngineRun;
  readonly requests: ReadonlySet<SteppedRequest>;
  /** Requests in it that may yet be kept or not. */
  undecided: number;
}

/**
 * Makes each engine step one span `engine.step`, a trace of its own, with an annotation for each request in it whose trace
 * is kept: that trace's id. A step waits until all its requests are decided; when none of them is kept, neither is it. It is
 * told with others, and before the first of its requests is over, if that is when it is decided.
 */
export class StepTraces {
  readonly #requests = new Map<RequestId, SteppedRequest>();
  /** Oldest first. */
  readonly #held = new Set<HeldStep>();
  readonly #decided: HeldStep[] = [];

  constructor(
    private readonly tracer: Tracer,
    private readonly clock: Clock,
    private readonly ids: TraceIds,
    private readonly limits: StepLimits = LIMITS,
  ) {}

  /** From now on steps with the engine's request `id` are this request's. */
  join(id: RequestId, request: SteppedRequest): void {
    if (this.#requests.get(id) === request) return;
    this.#requests.set(id, request);
    request.ids.push(id);
  }

  /** It is in no more steps, and whether it is kept is known. */
  leave(request: SteppedRequest): void {
    for (const id of request.ids) this.#requests.delete(id);
    for (const held of request.held) {
      held.undecided--;
      if (held.undecided > 0) continue;
      this.#held.delete(held);
      this.#decided.push(held);
    }
    this.#tell();
  }

  record(step: StepStats, run: EngineRun): void {
    const requests = new Set<SteppedRequest>();
    for (const id of step.requests) {
      const request = this.#requests.get(id);
      if (request !== undefined) requests.add(request);
    }
    if (requests.size === 0) return;
    const held = { step, run, requests, undecided: 0 };
    for (const request of requests) {
      if (request.trace.kept) continue;
      request.held.add(held);
      held.undecided++;
    }
    if (held.undecided === 0) this.#decided.push(held);
    else this.#hold(held);
    if (this.#decided.length >= this.limits.batch) this.#tell();
  }

  #hold(held: HeldStep): void {
    this.#held.add(held);
    if (this.#held.size <= this.limits.held) return;
    for (const oldest of this.#held) {
      this.#held.delete(oldest);
      for (const request of oldest.requests) {
        if (!request.held.delete(oldest) || request.trace.kept) continue;
        request.lost++;
      }
      this.#decided.push(oldest);
      return;
    }
  }

  #tell(): void {
    if (this.#decided.length === 0) return;
    const maker = new SpanMaker(this.tracer, new WallAnchor(this.clock));
    for (const step of this.#decided.splice(0)) this.#makeSpan(step, maker);
  }

  #makeSpan({ step, run, requests }: HeldStep, maker: SpanMaker): void {
    const kept = [...requests].filter(({ trace }) => trace.kept);
    if (kept.length === 0) return;
    const root = withSamplingState(ROOT_CONTEXT, "accept");
    const span = this.ids.during(stepTraceId(run, step.number), () =>
      maker.open("engine.step", step.start, root, attributesOf(step, run, kept.length)),
    );
    for (const { trace } of kept.slice(0, MOST_NAMED)) maker.annotate(span, zipkinTraceId(trace.traceId), step.start);
    maker.end(span, step.end, step.error);
  }
}

function attributesOf(step: StepStats, run: EngineRun, requests: number): SpanAttributes {
  return {
    "ai.step.number": step.number,
    "ai.phase": step.phase,
    "ai.step.requests": requests,
    "ai.batch.size": step.batchSize,
    "ai.tokens": step.tokens,
    "ai.step.context_tokens": step.contextTokens,
    "ai.step_ms.expected": step.expectedMs === undefined ? undefined : rounded(step.expectedMs, 3),
    "ai.cost.device_seconds": rounded((step.end - step.start) / 1e6, 9),
    "ai.model.name": run.model,
    "ai.device": deviceName(run.device),
  };
}
