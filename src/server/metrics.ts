import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { EngineClient } from "../engine/client/client.js";
import type { Tracing } from "../tracing/contract.js";
import { addEngineMetrics } from "./engine-metrics.js";
import { FewLabels } from "./few-labels.js";

/** From a tiny model on a GPU to a large one on two cores. */
const TOKEN_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
const REQUEST_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

/** Callers with a series of their own. */
const MOST_CALLERS = 100;

/** One finished HTTP request. */
export interface RequestRecord {
  readonly route: string;
  readonly status: number;
  /** `ok`, or the error's code. */
  readonly outcome: string;
  readonly seconds: number;
  readonly promptTokens: number;
  /** Of those, the ones that were in the cache already. */
  readonly cachedTokens: number;
  readonly completionTokens: number;
  /** Whether the route generates; only those have their duration measured. */
  readonly generates: boolean;
  readonly model: string;
  /** Keyed hash of the API key; undefined without one. */
  readonly caller: string | undefined;
  readonly deviceSeconds: number;
}

/** The service in Prometheus' terms. Labels are routes, status codes, codes of the error table and devices: few, and no content. */
export class Metrics {
  readonly #registry = new Registry();
  readonly timeToFirstToken = this.#histogram(
    "time_to_first_token_seconds",
    "From the request's arrival to its first token",
    REQUEST_SECONDS,
  );
  readonly interTokenLatency = this.#histogram(
    "inter_token_latency_seconds",
    "Between a request's consecutive tokens",
    TOKEN_SECONDS,
  );
  readonly timePerOutputToken = this.#histogram(
    "time_per_output_token_seconds",
    "Mean over a request's tokens after the first",
    TOKEN_SECONDS,
  );
  readonly #duration = this.#histogram(
    "request_duration_seconds",
    "Generating requests, from arrival to the last byte",
    REQUEST_SECONDS,
  );
  readonly #requests = new Counter({
    name: "vitrine_requests_total",
    help: "Finished HTTP requests; outcome is ok or the error's code",
    labelNames: ["route", "status", "outcome"] as const,
    registers: [this.#registry],
  });
  readonly #tokens = new Counter({
    name: "vitrine_tokens_total",
    help: "Tokens of prompts and completions",
    labelNames: ["kind"] as const,
    registers: [this.#registry],
  });
  readonly #callers = new FewLabels(MOST_CALLERS);
  readonly #deviceSeconds = new Counter({
    name: "vitrine_cost_device_seconds_total",
    help: "Requests' shares of device time; caller is api_key_hash, none without a key, other beyond the first callers",
    labelNames: ["model", "caller"] as const,
    registers: [this.#registry],
  });
  readonly #cachedTokens = this.#counter(
    "cached_prompt_tokens_total",
    "Tokens of prompts that were in the KV cache already; vitrine_tokens_total counts them too",
  );

  constructor(engine: EngineClient, tracing: Tracing) {
    collectDefaultMetrics({ register: this.#registry });
    addEngineMetrics(this.#registry, engine);
    this.#exportMetrics(tracing);
    this.#headerMetrics(tracing);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  record(request: RequestRecord): void {
    this.#requests.inc({ route: request.route, status: request.status, outcome: request.outcome });
    if (!request.generates) return;
    this.#duration.observe(request.seconds);
    this.#tokens.inc({ kind: "prompt" }, request.promptTokens);
    this.#tokens.inc({ kind: "completion" }, request.completionTokens);
    this.#cachedTokens.inc(request.cachedTokens);
    const caller = request.caller === undefined ? "none" : this.#callers.labelOf(request.caller);
    this.#deviceSeconds.inc({ model: request.model, caller }, request.deviceSeconds);
  }

  #exportMetrics(tracing: Tracing): void {
    this.#total("spans_ended_total", "Spans ended", () => tracing.counters().ended);
    this.#total(
      "spans_delivered_total",
      "Spans a collector took; without one, spans the embedded store took",
      () => tracing.counters().delivered,
    );
    this.#gauge("spans_queued", "Spans waiting to be sent", () => tracing.counters().queued);
    this.#total("span_sends_ok_total", "Batches a collector took", () => tracing.counters().sendsOk);
    this.#total("span_sends_failed_total", "Batches no collector took", () => tracing.counters().sendsFailed);
    this.#total(
      "span_attributes_dropped_total",
      "Attributes left out of spans because the allow-list has no such name, or another type for it",
      () => tracing.counters().attributesDropped,
    );
    const registers = [this.#registry];
    new Counter({
      name: "vitrine_spans_dropped_total",
      help: "Spans not delivered, by cause",
      labelNames: ["cause"] as const,
      registers,
      collect() {
        this.reset();
        const dropped: Readonly<Record<string, number>> = tracing.counters().dropped;
        for (const [cause, count] of Object.entries(dropped)) this.inc({ cause }, count);
      },
    });
  }

  #headerMetrics(tracing: Tracing): void {
    const registers = [this.#registry];
    new Counter({
      name: "vitrine_trace_headers_refused_total",
      help: "Requests whose caller sent trace ids that are none, by header and what was wrong",
      labelNames: ["header", "reason"] as const,
      registers,
      collect() {
        this.reset();
        for (const { header, reason, count } of tracing.refusedHeaders()) this.inc({ header, reason }, count);
      },
    });
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name: `vitrine_${name}`, help, buckets, registers: [this.#registry] });
  }

  #counter(name: string, help: string): Counter {
    return new Counter({ name: `vitrine_${name}`, help, registers: [this.#registry] });
  }

  #gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name: `vitrine_${name}`,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read());
      },
    });
  }

  /** A count that somebody else keeps; it may start again from 0, as Prometheus expects after a restart. */
  #total(name: string, help: string, read: () => number): void {
    new Counter({
      name: `vitrine_${name}`,
      help,
      registers: [this.#registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  }
}
