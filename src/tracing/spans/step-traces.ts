import { ROOT_CONTEXT, type Tracer } from "@opentelemetry/api";
import type { EngineRun, EngineStep, RequestId } from "../../protocol.js";
import { type Clock, WallAnchor } from "../clock.js";
import { withSamplingState, zipkinTraceId } from "../context/trace-context.js";
import type { RequestTrace } from "../contract.js";
import { deviceName } from "./device-attributes.js";
import { rounded, type SpanAttributes, SpanMaker } from "./span-maker.js";
import type { TraceIds } from "./trace-ids.js";

/** Steps that wait for their requests to be decided: some 4 MB. */
const MOST_HELD = 10_000;
/** Requests that a step names. */
const MOST_NAMED = 64;

/**
 * Digits of a step's trace id that are its number, in decimal so that people can count on: a thousand steps a second fill
 * them in three years. The run's random digits before them reach into the lower 64 bits, by which some collectors file.
 */
const NUMBER_DIGITS = 11;

/** Both the step and the requests in it know it: nobody has to tell it to the other. */
export function stepTraceId({ id }: EngineRun, step: number): string {
  return id.slice(0, 32 - NUMBER_DIGITS) + String(step).padStart(NUMBER_DIGITS, "0");
}

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
  readonly step: EngineStep;
  readonly maker: SpanMaker;
  readonly requests: ReadonlySet<SteppedRequest>;
  /** Requests in it that may yet be kept or not. */
  undecided: number;
}

/**
 * Makes each engine step one span `engine.step`, a trace of its own, with an annotation for each request in it whose trace
 * is kept: that trace's id. A step waits until all its requests are decided; when none of them is kept, neither is it.
 */
export class StepTraces {
  readonly #requests = new Map<RequestId, SteppedRequest>();
  /** Oldest first. */
  readonly #held = new Set<HeldStep>();

  constructor(
    private readonly tracer: Tracer,
    private readonly clock: Clock,
    private readonly ids: TraceIds,
    private readonly mostHeld = MOST_HELD,
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
      this.#decide(held);
    }
  }

  record(step: EngineStep): void {
    const requests = new Set<SteppedRequest>();
    for (const id of step.requests) {
      const request = this.#requests.get(id);
      if (request !== undefined) requests.add(request);
    }
    const held = { step, maker: new SpanMaker(this.tracer, new WallAnchor(this.clock)), requests, undecided: 0 };
    for (const request of requests) {
      if (request.trace.kept) continue;
      request.held.add(held);
      held.undecided++;
    }
    if (held.undecided === 0) this.#decide(held);
    else this.#hold(held);
  }

  #hold(held: HeldStep): void {
    this.#held.add(held);
    if (this.#held.size <= this.mostHeld) return;
    for (const oldest of this.#held) {
      this.#held.delete(oldest);
      for (const request of oldest.requests) {
        if (!request.held.delete(oldest) || request.trace.kept) continue;
        request.lost++;
      }
      this.#decide(oldest);
      return;
    }
  }

  #decide({ step, maker, requests }: HeldStep): void {
    const kept = [...requests].filter(({ trace }) => trace.kept);
    if (kept.length === 0) return;
    const root = withSamplingState(ROOT_CONTEXT, "accept");
    const span = this.ids.during(stepTraceId(step.run, step.number), () =>
      maker.open("engine.step", step.start, root, attributesOf(step, kept.length)),
    );
    for (const { trace } of kept.slice(0, MOST_NAMED)) maker.annotate(span, zipkinTraceId(trace.traceId), step.start);
    maker.end(span, step.end, step.error);
  }
}

function attributesOf(step: EngineStep, requests: number): SpanAttributes {
  return {
    "ai.step.number": step.number,
    "ai.phase": step.phase,
    "ai.step.requests": requests,
    "ai.batch.size": step.batchSize,
    "ai.tokens": step.tokens,
    "ai.step.context_tokens": step.contextTokens,
    "ai.step_ms.expected": step.expectedMs === undefined ? undefined : rounded(step.expectedMs, 3),
    "ai.cost.device_seconds": rounded((step.end - step.start) / 1e6, 9),
    "ai.model.name": step.run.model,
    "ai.device": deviceName(step.run.device),
  };
}
