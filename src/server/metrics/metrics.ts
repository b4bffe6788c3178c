import { Counter, collectDefaultMetrics } from "prom-client";
import type { EngineClient } from "../../engine/client/client.js";
import type { RequestTrace, Tracing } from "../../tracing/contract.js";
import { addEngineMetrics } from "./engine-metrics.js";
import { addExportMetrics } from "./export-metrics.js";
import { FewLabels } from "./few-labels.js";
import { GpuMetrics } from "./gpu-metrics.js";
import { LatencyHistograms } from "./latency-histograms.js";
import { contentTypeFor, createRegistry, inFormat } from "./metrics-format.js";

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
  /** Of a route that generates; only those have their duration measured. */
  readonly trace: RequestTrace | undefined;
  readonly model: string;
  /** Keyed hash of the API key; undefined without one. */
  readonly caller: string | undefined;
  readonly deviceSeconds: number;
  /** Undefined where no device's power is known. */
  readonly joules: number | undefined;
}

/** The service in Prometheus' terms. Labels are routes, status codes, codes of the error table and devices: few, and no content. */
export class Metrics {
  readonly #registry = createRegistry();
  readonly latencies: LatencyHistograms;
  readonly #gpus: GpuMetrics;
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
  readonly #deviceSeconds = this.#cost(
    "device_seconds",
    "Requests' shares of device time; caller is api_key_hash, none without a key, other beyond the first callers",
  );
  readonly #joules = this.#cost("joules", "Those at the devices' power, where that is known; callers likewise");
  /** Only with a price. */
  readonly #amount: Counter | undefined;
  readonly #cachedTokens = this.#counter(
    "cached_prompt_tokens_total",
    "Tokens of prompts that were in the KV cache already; vitrine_tokens_total counts them too",
  );

  constructor(
    engine: EngineClient,
    private readonly tracing: Tracing,
    model: string,
  ) {
    if (tracing.cost.pricePerDeviceHour !== undefined) {
      this.#amount = this.#cost("amount", "Those at --price-per-device-hour; callers likewise");
    }
    this.latencies = new LatencyHistograms(this.#registry, model);
    collectDefaultMetrics({ register: this.#registry });
    addEngineMetrics(this.#registry, engine);
    addExportMetrics(this.#registry, tracing);
    this.#gpus = new GpuMetrics(this.#registry, tracing);
    this.#headerMetrics(tracing);
  }

  /** In the format that the scraper's `Accept` header asks for. */
  async page(accept: string | undefined): Promise<{ readonly type: string; readonly text: string }> {
    const type = contentTypeFor(accept);
    await this.#gpus.update();
    return { type, text: await inFormat(this.#registry, type).metrics() };
  }

  record(request: RequestRecord): void {
    this.#requests.inc({ route: request.route, status: request.status, outcome: request.outcome });
    if (request.trace === undefined) return;
    this.latencies.observe("endToEnd", request.seconds, request.trace);
    this.#tokens.inc({ kind: "prompt" }, request.promptTokens);
    this.#tokens.inc({ kind: "completion" }, request.completionTokens);
    this.#cachedTokens.inc(request.cachedTokens);
    const caller = request.caller === undefined ? "none" : this.#callers.labelOf(request.caller);
    const labels = { model: request.model, caller };
    this.#deviceSeconds.inc(labels, request.deviceSeconds);
    if (request.joules !== undefined) this.#joules.inc(labels, request.joules);
    this.#amount?.inc(labels, (request.deviceSeconds / 3600) * (this.tracing.cost.pricePerDeviceHour ?? 0));
  }

  #cost(what: string, help: string): Counter<"model" | "caller"> {
    const labelNames = ["model", "caller"] as const;
    return new Counter({ name: `vitrine_cost_${what}_total`, help, labelNames, registers: [this.#registry] });
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

  #counter(name: string, help: string): Counter {
    return new Counter({ name: `vitrine_${name}`, help, registers: [this.#registry] });
  }
}
