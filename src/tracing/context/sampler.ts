import { type Context, createContextKey, trace } from "@opentelemetry/api";
import { type Sampler, SamplingDecision, type SamplingResult } from "@opentelemetry/sdk-trace-node";
import { rateFor, type SampledRequest, type SamplingPolicy } from "./sampling-policy.js";
import { TokenBucket } from "./token-bucket.js";
import { samplingState } from "./trace-context.js";

/** Of the 56 random bits of a trace id, the upper ones that a number holds exactly: 13 of 14 hex digits. */
const RANDOM_DIGITS = { from: -14, to: -1 } as const;
const RANDOM_RANGE = 2 ** 52;

const KEEP: SamplingResult = { decision: SamplingDecision.RECORD_AND_SAMPLED };
/** Recorded, and kept only if its end gives a reason to. */
const UNDECIDED: SamplingResult = { decision: SamplingDecision.RECORD };
const IGNORE: SamplingResult = { decision: SamplingDecision.NOT_RECORD };

const REQUEST = createContextKey("vitrine sampled request");

/** Shows the sampler what its rules look at. */
export function withSampledRequest(context: Context, request: SampledRequest): Context {
  return context.setValue(REQUEST, request);
}

export interface HeadSamplerOptions {
  /** Record what is not kept, for the tail sampler to look at. */
  readonly recordAll?: boolean;
  /** Model id that rules may name. */
  readonly model?: string;
  /** Milliseconds of a steady clock. */
  readonly now?: () => number;
}

/**
 * Decides as a trace begins. The caller's decision holds; without one, `rate` of the traces are kept, chosen by the
 * low 56 bits of the trace id as OpenTelemetry's consistent probability sampling does
 * (https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/), so that services of equal rates
 * keep the same traces, and one of a lower rate a part of them.
 */
export class HeadSampler implements Sampler {
  #policy: SamplingPolicy;
  #bucket: TokenBucket | undefined;

  constructor(
    policy: SamplingPolicy,
    private readonly options: HeadSamplerOptions = {},
  ) {
    this.#policy = policy;
    this.#bucket = this.#bucketFor(policy);
  }

  get policy(): SamplingPolicy {
    return this.#policy;
  }

  /** Holds for traces that begin from now on. */
  set policy(policy: SamplingPolicy) {
    if (policy.limit !== this.#policy.limit) this.#bucket = this.#bucketFor(policy);
    this.#policy = policy;
  }

  /** False when nothing would be kept whatever came, except what a caller asks for. */
  get keepsAny(): boolean {
    const { rate, rules } = this.#policy;
    return this.options.recordAll === true || rate > 0 || rules.some((rule) => rule.rate > 0);
  }

  shouldSample(context: Context, traceId: string): SamplingResult {
    const state = samplingState(context);
    if (state === "accept" || state === "debug") return KEEP;
    if (state === "defer") {
      if (this.#keeps(context, traceId)) return KEEP;
      return this.options.recordAll === true ? UNDECIDED : IGNORE;
    }
    // A caller's denial, or a trace of ours that is undecided: only there is the parent recorded.
    return trace.getSpan(context)?.isRecording() === true ? UNDECIDED : IGNORE;
  }

  #keeps(context: Context, traceId: string): boolean {
    const rate = rateFor(this.#policy, this.options.model, context.getValue(REQUEST) as SampledRequest | undefined);
    return isWithin(rate, traceId) && (this.#bucket === undefined || this.#bucket.take());
  }

  #bucketFor({ limit }: SamplingPolicy): TokenBucket | undefined {
    return limit === null ? undefined : new TokenBucket(limit, this.options.now ?? (() => performance.now()));
  }

  toString(): string {
    return `HeadSampler{${this.#policy.rate}}`;
  }
}

/** The decision for `rate` that every service comes to for this trace. */
export function isWithin(rate: number, traceId: string): boolean {
  const random = Number.parseInt(traceId.slice(RANDOM_DIGITS.from, RANDOM_DIGITS.to), 16);
  return random >= (1 - rate) * RANDOM_RANGE;
}
