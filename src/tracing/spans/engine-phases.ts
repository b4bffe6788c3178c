import type { WireError } from "../../errors.js";
import type {
  CacheGrowth,
  DeviceChoice,
  EngineRun,
  ForwardStats,
  Micros,
  Outcome,
  RequestEvent,
  StepNumbers,
} from "../../protocol.js";
import { allocationAttributes, growthAttributes } from "./cache-attributes.js";
import { cacheDeviceName, deviceAttributes, deviceName } from "./device-attributes.js";
import { type OpenSpan, type SpanAttributes, setAttributes } from "./open-span.js";
import { rounded, type SpanMaker, seconds } from "./span-maker.js";
import { stepTraceId } from "./trace-ids.js";

/** What the phases add up to, for `model.generate`. */
export interface PhaseTotals {
  readonly tokens: number;
  readonly firstTokenAt?: Micros;
  readonly deviceSeconds?: number;
  /** Where it ran; absent when it never did, or in several places. */
  readonly device?: DeviceChoice;
  readonly attributes: SpanAttributes;
}

/** In two steps, as to join objects costs more than all else that is done with them. */
export function setTotals(span: OpenSpan, { attributes, device }: PhaseTotals): void {
  setAttributes(span, deviceAttributes(device));
  setAttributes(span, attributes);
}

/** The engine's part in one request, as spans. */
export interface EngineSpans {
  /** The prompt is ready; if nothing else is heard, the request has been waiting since. */
  submitted(at: Micros): void;
  observe(event: RequestEvent): void;
  /** Ends what is still open. */
  close(at: Micros, error: WireError | undefined): void;
  readonly outcome: Outcome | undefined;
  readonly firstTokenAt: Micros | undefined;
  totals(): PhaseTotals;
}

type Phase = "none" | "queue" | "prefill" | "decode" | "over";

/**
 * Turns one request's engine events into spans under `model.generate`. A phase that was open when the request
 * ended (the engine died, the client left) ends at that moment and carries the failure, if it was one.
 */
export class EnginePhases implements EngineSpans {
  #phase: Phase = "none";
  #phaseStart: Micros = 0;
  #queuedMicros: number | undefined;
  #prefillMicros: number | undefined;
  #decodeMicros: number | undefined;
  #inferenceStart: Micros | undefined;
  #inferenceEnd: Micros | undefined;
  #deviceSeconds: number | undefined;
  #tokens = 0;
  firstTokenAt: Micros | undefined;
  #lastTokenAt: Micros = 0;
  #waitMs: number | undefined;
  #run: EngineRun | undefined;
  outcome: Outcome | undefined;

  constructor(
    private readonly maker: SpanMaker,
    private readonly parent: OpenSpan,
  ) {}

  submitted(at: Micros): void {
    this.#enter("queue", at);
  }

  observe(event: RequestEvent): void {
    if (this.#phase === "over") return;
    if (event.type === "admitted") this.#admitted(event);
    else if (event.type === "prefilled") this.#prefilled(event.forward);
    else if (event.type === "token") this.#token(event.at);
    else if (event.type === "cache_growth") this.#cacheGrowth(event.growth);
    else if (event.type === "preempted") this.#preempted(event.at, event.forward);
    else if (event.type === "ended") {
      this.outcome = event.outcome;
      const failure = failureOf(event.outcome);
      if (event.forward !== undefined) this.#leave(event.forward, failure);
      this.#waitMs = event.waitMs;
      this.close(event.at, failure);
    }
  }

  #enter(phase: Phase, at: Micros): void {
    this.#phase = phase;
    this.#phaseStart = at;
  }

  #admitted({ grammar, queue, allocation, run }: Extract<RequestEvent, { type: "admitted" }>): void {
    this.#run = run;
    this.#queuedMicros = (this.#queuedMicros ?? 0) + queue.end - queue.start;
    if (grammar !== undefined) this.#child("grammar.compile", grammar.start, grammar.end, {});
    this.#child("queue", queue.start, queue.end, { "ai.queue.depth": queue.depth });
    const cache = allocationAttributes(allocation, run?.device);
    this.#child("kv_cache.allocate", allocation.start, allocation.end, cache);
    this.#enter("prefill", Math.max(queue.end, allocation.end));
  }

  #prefilled(forward: ForwardStats): void {
    this.#forward(forward);
    this.#enter("decode", forward.end);
  }

  #token(at: Micros): void {
    this.#tokens++;
    this.#lastTokenAt = at;
    if (this.firstTokenAt !== undefined) return;
    this.firstTokenAt = at;
    this.maker.annotate(this.parent, "first_token", at);
  }

  /** Beside the phase it is in, so that nobody takes its time for the model's. */
  #cacheGrowth(growth: CacheGrowth): void {
    const device = cacheDeviceName(this.#device);
    const pool = { "ai.kv.pool_bytes": growth.toBytes, "ai.kv.device": device };
    this.#child("kv_cache.grow", growth.start, growth.end, { ...pool, ...growthAttributes(growth) });
  }

  /** It waits again: what follows is a second queue, allocation and prefill. */
  #preempted(at: Micros, forward: ForwardStats | undefined): void {
    if (forward !== undefined) this.#leave(forward, undefined);
    this.maker.annotate(this.parent, "preempted", at);
    this.#enter("queue", at);
  }

  /** The last phase: nothing of it is open any more. */
  #leave(forward: ForwardStats, error: WireError | undefined): void {
    this.#forward(forward, error);
    this.#phase = "none";
  }

  #forward(forward: ForwardStats, error?: WireError): void {
    const { phase, start, end, stepNumbers } = forward;
    const batchSize = rounded(forward.meanBatchSize, 2);
    if (phase === "prefill") this.#prefillMicros = (this.#prefillMicros ?? 0) + end - start;
    else this.#decodeMicros = (this.#decodeMicros ?? 0) + end - start;
    this.#inferenceStart ??= start;
    this.#inferenceEnd = end;
    this.#deviceSeconds = (this.#deviceSeconds ?? 0) + forward.deviceSeconds;
    const attributes: SpanAttributes = {
      "ai.phase": phase,
      "ai.steps": forward.steps,
      "ai.tokens": forward.tokens,
      ...(phase === "prefill" ? { "ai.batch.size": batchSize } : { "ai.batch.mean_size": batchSize }),
      "ai.step_ms.max": rounded(forward.maxStepMs, 3),
      "ai.step_ms.expected": forward.expectedStepMs === undefined ? undefined : rounded(forward.expectedStepMs, 3),
      "ai.kv.growth_ms": forward.cacheGrowthMs === undefined ? undefined : rounded(forward.cacheGrowthMs, 3),
      "ai.cost.device_seconds": rounded(forward.deviceSeconds, 9),
      "ai.device": deviceName(this.#device),
      ...(stepNumbers === undefined || this.#run === undefined ? {} : stepTags(this.#run, stepNumbers)),
    };
    this.#child("inference.forward", start, end, attributes, error);
  }

  get #device(): DeviceChoice | undefined {
    return this.#run?.device;
  }

  /** Ends the phase that is open, if any, at `at`. */
  close(at: Micros, error: WireError | undefined): void {
    const start = this.#phaseStart;
    if (this.#phase === "queue") {
      this.#queuedMicros = (this.#queuedMicros ?? 0) + at - start;
      const waited = this.#waitMs === undefined ? undefined : rounded(this.#waitMs, 3);
      this.#child("queue", start, at, { "ai.kv.wait_ms": waited }, error);
    }
    if (this.#phase === "prefill") {
      this.#child(
        "inference.forward",
        start,
        at,
        { "ai.phase": "prefill", "ai.device": deviceName(this.#device) },
        error,
      );
    }
    // After the prefill a request may end without a step; only one that was torn off had begun one.
    if (this.#phase === "decode" && error !== undefined) {
      const attributes = { "ai.phase": "decode", "ai.device": deviceName(this.#device) };
      this.#child("inference.forward", start, at, attributes, error);
    }
    this.#phase = "over";
  }

  #child(name: string, start: Micros, end: Micros, attributes: SpanAttributes, error?: WireError): void {
    this.maker.add(name, start, end, this.parent, attributes, error);
  }

  totals(): PhaseTotals {
    const first = this.firstTokenAt;
    const generating = first === undefined ? 0 : this.#lastTokenAt - first;
    const inference = this.#inferenceStart === undefined ? undefined : (this.#inferenceEnd ?? 0) - this.#inferenceStart;
    const time = (micros: number | undefined) => (micros === undefined ? undefined : seconds(micros));
    const { outcome } = this;
    return {
      tokens: this.#tokens,
      ...(first === undefined ? {} : { firstTokenAt: first }),
      ...(this.#deviceSeconds === undefined ? {} : { deviceSeconds: this.#deviceSeconds }),
      ...(this.#device === undefined ? {} : { device: this.#device }),
      attributes: {
        "ai.response.length": this.#tokens,
        "gen_ai.usage.output_tokens": this.#tokens,
        // Speed between tokens: the wait for the first one is ai.ttft_ms.
        "ai.tokens_per_second": generating > 0 ? rounded((this.#tokens - 1) / (generating / 1e6), 3) : undefined,
        "ai.cost.device_seconds": this.#deviceSeconds === undefined ? undefined : rounded(this.#deviceSeconds, 9),
        "gen_ai.latency.time_in_queue": time(this.#queuedMicros),
        "gen_ai.latency.time_in_model_prefill": time(this.#prefillMicros),
        "gen_ai.latency.time_in_model_decode": time(this.#decodeMicros),
        "gen_ai.latency.time_in_model_inference": time(inference),
        "gen_ai.response.finish_reasons": outcome?.kind === "finished" ? [outcome.reason] : undefined,
      },
    };
  }
}

/** Where to find the steps of a phase: those between the first and the last have the ids between theirs. */
function stepTags(run: EngineRun, { first, last, slowest }: StepNumbers): SpanAttributes {
  return {
    "ai.step.first": stepTraceId(run, first),
    "ai.step.last": stepTraceId(run, last),
    "ai.step.slowest": stepTraceId(run, slowest),
  };
}

/**
 * The failure an outcome stands for. A client that left is no failure of ours; running out of time or being
 * cut off by a shutdown is.
 */
export function failureOf(outcome: Outcome): WireError | undefined {
  if (outcome.kind === "failed") return outcome.error;
  if (outcome.kind === "finished" || outcome.cause === "client_gone") return undefined;
  return outcome.cause === "timeout"
    ? { code: "request_timeout", message: "the request ran out of time" }
    : { code: "draining", message: "the server shut down before the request was done" };
}
