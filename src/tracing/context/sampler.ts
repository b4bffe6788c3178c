import type { Context } from "@opentelemetry/api";
import { type Sampler, SamplingDecision, type SamplingResult } from "@opentelemetry/sdk-trace-node";
import { samplingState } from "./trace-context.js";

const RANDOM_BITS = 52;
const RECORD: SamplingResult = { decision: SamplingDecision.RECORD_AND_SAMPLED };
const IGNORE: SamplingResult = { decision: SamplingDecision.NOT_RECORD };

/**
 * Honours the caller's decision; without one keeps `rate` of the traces, chosen by the trace id's low bits, so
 * that every service with the same rate keeps the same traces (OpenTelemetry's consistent probability sampling,
 * which reads the low 56 bits; a number holds 52 of them exactly).
 */
export class TraceIdSampler implements Sampler {
  readonly #threshold: number;

  constructor(private readonly rate: number) {
    this.#threshold = (1 - rate) * 2 ** RANDOM_BITS;
  }

  shouldSample(context: Context, traceId: string): SamplingResult {
    const state = samplingState(context);
    if (state === "defer") return this.#keeps(traceId) ? RECORD : IGNORE;
    return state === "deny" ? IGNORE : RECORD;
  }

  #keeps(traceId: string): boolean {
    return Number.parseInt(traceId.slice(-RANDOM_BITS / 4), 16) >= this.#threshold;
  }

  toString(): string {
    return `TraceIdSampler{${this.rate}}`;
  }
}
