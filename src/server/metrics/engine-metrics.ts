import { Counter, Gauge } from "prom-client";
import type { EngineClient, EngineStatus } from "../../engine/client/client.js";
import type { EngineStats } from "../../protocol.js";
import { deviceName } from "../../tracing/spans/device-attributes.js";
import type { MetricsRegistry } from "./metrics-format.js";

type Row = readonly [kind: "gauge" | "total", name: string, help: string, read: (stats: EngineStats) => number];

/** What the engine tells of itself. */
const STATS: readonly Row[] = [
  ["gauge", "requests_waiting", "Requests in the engine's queue", ({ waiting }) => waiting],
  ["gauge", "requests_running", "Requests that generate", ({ running }) => running],
  ["gauge", "kv_cache_utilization", "Reserved share of the KV cache, 0 to 1", kvUtilization],
  ["gauge", "kv_cache_kept_tokens", "Tokens of ended requests, kept for reuse", ({ kvTokensKept }) => kvTokensKept],
  [
    "total",
    "kv_cache_evicted_tokens_total",
    "Kept tokens given up for others to have their room",
    ({ kvTokensEvicted }) => kvTokensEvicted,
  ],
  ["gauge", "kv_cache_allocated_bytes", "Memory that the KV cache has", ({ kvBytesAllocated }) => kvBytesAllocated],
  ["gauge", "kv_cache_limit_bytes", "Memory that the KV cache may have", ({ kvBytesTotal }) => kvBytesTotal],
  ["total", "kv_cache_growths_total", "Times the KV cache's memory grew", ({ kvGrowths }) => kvGrowths],
  ["total", "kv_cache_growth_failures_total", "Allocations of KV cache that failed", ({ kvRefusals }) => kvRefusals],
  // Nothing runs meanwhile.
  [
    "total",
    "kv_cache_growth_seconds_total",
    "Time in which the KV cache's memory grew, or failed to",
    ({ kvGrowthSeconds }) => kvGrowthSeconds,
  ],
  [
    "gauge",
    "expected_step_seconds",
    "What a decode step of the running requests should take, as learned",
    ({ expectedStepMs }) => expectedStepMs / 1e3,
  ],
  ["total", "preemptions_total", "Times a request gave up its cache to older ones", ({ preemptions }) => preemptions],
  ["total", "engine_steps_total", "Forward passes", ({ steps }) => steps],
  ["total", "device_busy_seconds_total", "Device time in forward passes", ({ busySeconds }) => busySeconds],
  ["total", "device_idle_seconds_total", "Device time between forward passes", ({ idleSeconds }) => idleSeconds],
];

function kvUtilization({ kvTokensReserved, kvTokensTotal }: EngineStats): number {
  return kvTokensTotal === 0 ? 0 : kvTokensReserved / kvTokensTotal;
}

type Read = (engine: EngineStatus) => number;

/** The engines in Prometheus' terms, a series each: by their number, and the device they run on. */
export function addEngineMetrics(registry: MetricsRegistry, client: EngineClient): void {
  const add = metricsOf(registry, client.engines);
  add.gauge("requests_in_flight", "Requests handed to the engine and not ended", ({ inFlight }) => inFlight);
  add.gauge("engine_ready", "1 when the engine takes requests", ({ state }) => Number(state.kind === "ready"));
  for (const [kind, name, help, read] of STATS) {
    add[kind](name, help, ({ stats }) => (stats === undefined ? 0 : read(stats)));
  }
  addRestarts(registry, client);
}

function metricsOf(registry: MetricsRegistry, engines: readonly EngineStatus[]) {
  const settings = (name: string, help: string) => ({
    name: `vitrine_${name}`,
    help,
    labelNames: ["engine", "device"] as const,
    registers: [registry],
  });
  const labelled = engines.map((engine, number) => ({ engine, labels: labelsOf(engine, number) }));
  return {
    gauge(name: string, help: string, read: Read): void {
      new Gauge({
        ...settings(name, help),
        collect() {
          // A series ends where its engine turns out to run on another device.
          this.reset();
          for (const { engine, labels } of labelled) this.set(labels(), read(engine));
        },
      });
    },
    /** A count that the engine keeps; it starts again from 0 with a new process, as Prometheus expects. */
    total(name: string, help: string, read: Read): void {
      new Counter({
        ...settings(name, help),
        collect() {
          this.reset();
          for (const { engine, labels } of labelled) this.inc(labels(), read(engine));
        },
      });
    },
  };
}

/** Where it runs is known once it has loaded, and through a restart; until then the label says what it was asked to run on. */
function labelsOf(engine: EngineStatus, number: number) {
  let device: string | undefined;
  return () => {
    if (engine.state.kind === "ready") device = deviceName(engine.state.device);
    return { engine: number, device: device ?? engine.device };
  };
}

function addRestarts(registry: MetricsRegistry, client: EngineClient): void {
  const restarts = new Counter({
    name: "vitrine_engine_restarts_total",
    help: "Starts of an engine after its first",
    registers: [registry],
  });
  client.onLoad((load) => {
    if (load.restarts > 0) restarts.inc();
  });
}
