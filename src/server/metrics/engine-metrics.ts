import { Counter, Gauge } from "prom-client";
import type { EngineClient, EngineStatus } from "../../engine/client/client.js";
import type { EngineStats } from "../../protocol.js";
import { deviceName } from "../../tracing/spans/device-attributes.js";
import type { MetricsRegistry } from "./metrics-format.js";

/** The engines in Prometheus' terms, a series each: by their number, and the device they run on. */
export function addEngineMetrics(registry: MetricsRegistry, client: EngineClient): void {
  const { gauge, total } = metricsOf(registry, client.engines);
  gauge("requests_in_flight", "Requests handed to the engine and not ended", ({ inFlight }) => inFlight);
  gauge("engine_ready", "1 when the engine takes requests", ({ state }) => Number(state.kind === "ready"));
  gauge(
    "requests_waiting",
    "Requests in the engine's queue",
    stat(({ waiting }) => waiting),
  );
  gauge(
    "requests_running",
    "Requests that generate",
    stat(({ running }) => running),
  );
  gauge("kv_cache_utilization", "Reserved share of the KV cache, 0 to 1", stat(kvUtilization));
  gauge(
    "kv_cache_kept_tokens",
    "Tokens of ended requests, kept for reuse",
    stat(({ kvTokensKept }) => kvTokensKept),
  );
  total(
    "kv_cache_evicted_tokens_total",
    "Kept tokens given up for others to have their room",
    stat(({ kvTokensEvicted }) => kvTokensEvicted),
  );
  addCacheMemory(gauge, total);
  gauge(
    "expected_step_seconds",
    "What a decode step of the running requests should take, as learned",
    stat(({ expectedStepMs }) => expectedStepMs / 1e3),
  );
  total(
    "preemptions_total",
    "Times a request gave up its cache to older ones",
    stat(({ preemptions }) => preemptions),
  );
  total(
    "engine_steps_total",
    "Forward passes",
    stat(({ steps }) => steps),
  );
  total(
    "device_busy_seconds_total",
    "Device time in forward passes",
    stat(({ busySeconds }) => busySeconds),
  );
  total(
    "device_idle_seconds_total",
    "Device time between forward passes",
    stat(({ idleSeconds }) => idleSeconds),
  );
  addRestarts(registry, client);
}

/** The memory behind the KV cache. Nothing runs while it grows. */
function addCacheMemory(gauge: AddMetric, total: AddMetric): void {
  gauge(
    "kv_cache_allocated_bytes",
    "Memory that the KV cache has",
    stat(({ kvBytesAllocated }) => kvBytesAllocated),
  );
  gauge(
    "kv_cache_limit_bytes",
    "Memory that the KV cache may have",
    stat(({ kvBytesTotal }) => kvBytesTotal),
  );
  total(
    "kv_cache_growths_total",
    "Times the KV cache's memory grew",
    stat(({ kvGrowths }) => kvGrowths),
  );
  total(
    "kv_cache_growth_failures_total",
    "Allocations of KV cache that failed",
    stat(({ kvRefusals }) => kvRefusals),
  );
  total(
    "kv_cache_growth_seconds_total",
    "Time in which the KV cache's memory grew, or failed to",
    stat(({ kvGrowthSeconds }) => kvGrowthSeconds),
  );
}

type AddMetric = (name: string, help: string, read: Read) => void;

type Read = (engine: EngineStatus) => number;

const stat =
  (read: (stats: EngineStats) => number): Read =>
  ({ stats }) =>
    stats === undefined ? 0 : read(stats);

const kvUtilization = (stats: EngineStats): number =>
  stats.kvTokensTotal === 0 ? 0 : stats.kvTokensReserved / stats.kvTokensTotal;

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
