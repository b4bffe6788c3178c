import { Histogram } from "prom-client";
import type { RequestTrace } from "../../tracing/contract.js";
import { type MetricsRegistry, standIn } from "./metrics-format.js";

/** From a tiny model on a GPU to a large one on two cores. */
const TOKEN_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
const REQUEST_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

/** Names and meanings as vLLM has them (https://docs.vllm.ai/en/latest/usage/metrics/). */
const HISTOGRAMS = {
  firstToken: ["time_to_first_token_seconds", "From the request's arrival to its first token", REQUEST_SECONDS],
  perOutputToken: [
    "request_time_per_output_token_seconds",
    "Mean over a request's tokens after the first",
    TOKEN_SECONDS,
  ],
  queue: ["request_queue_time_seconds", "Waiting in the engine's queue", REQUEST_SECONDS],
  prefill: ["request_prefill_time_seconds", "From the queue to the first token", REQUEST_SECONDS],
  decode: ["request_decode_time_seconds", "From the first token to the last", REQUEST_SECONDS],
  endToEnd: ["e2e_request_latency_seconds", "Generating requests, from arrival to the last byte", REQUEST_SECONDS],
} as const;

export type LatencyName = keyof typeof HISTOGRAMS;

/** prom-client has one type for labels and those of exemplars. */
type ByModel = Histogram<"model_name" | "trace_id" | "span_id">;

/** How long requests and their parts take: all of them, whatever the sampling. Exemplars name traces that are kept. */
export class LatencyHistograms {
  readonly #histograms: Readonly<Record<LatencyName, ByModel>>;
  readonly #interToken: { observe(seconds: number): void };
  readonly #labels: { readonly model_name: string };

  constructor(registry: MetricsRegistry, model: string) {
    const registers = [registry];
    const labelNames = ["model_name"] as const;
    this.#labels = { model_name: model };
    this.#histograms = Object.fromEntries(
      Object.entries(HISTOGRAMS).map(([key, [name, help, seconds]]) => [
        key,
        new Histogram({
          name: `vllm:${name}`,
          help,
          buckets: [...seconds],
          labelNames,
          registers,
          enableExemplars: true,
        }),
      ]),
    ) as Record<LatencyName, ByModel>;
    const interToken = new Histogram({
      name: "vllm:inter_token_latency_seconds",
      help: "Between a request's consecutive tokens",
      buckets: TOKEN_SECONDS,
      labelNames,
      registers,
    });
    // What vLLM called it before.
    registry.registerMetric(standIn(interToken, "vllm:time_per_output_token_seconds"));
    this.#interToken = interToken.labels(model);
  }

  observe(name: LatencyName, seconds: number, trace: RequestTrace | undefined): void {
    const exemplarLabels = trace?.kept === true ? { trace_id: trace.traceId, span_id: trace.spanId } : {};
    this.#histograms[name].observe({ labels: this.#labels, value: seconds, exemplarLabels });
  }

  /** Without exemplars: it comes with every token, and the request has others. */
  observeInterToken(seconds: number): void {
    this.#interToken.observe(seconds);
  }
}
