import { Counter, Gauge } from "prom-client";
import type { DeviceReading, Tracing } from "../../tracing/contract.js";
import type { MetricsRegistry } from "./metrics-format.js";

type Reading = DeviceReading["reading"];
/** The value of each series by its own labels; undefined for what the GPU does not tell. */
type Values = readonly (readonly [labels: Readonly<Record<string, string>>, value: number | undefined])[];

interface Row {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  /** Since the driver was loaded; otherwise what is now. */
  readonly total?: true;
  readonly values: (reading: Reading) => Values;
}

const one = (value: number | undefined): Values => [[{}, value]];
const share = (percent: number | undefined): number | undefined => (percent === undefined ? undefined : percent / 100);

/**
 * OpenTelemetry's hardware conventions (https://opentelemetry.io/docs/specs/semconv/hardware/gpu/), with the unit at the
 * end as Prometheus has it: `hw.gpu.memory.usage` in `By` is `hw_gpu_memory_usage_bytes`. They have no names for clocks,
 * throttling, MIG, processes and the load on the memory; those here continue theirs.
 */
const ROWS: readonly Row[] = [
  {
    name: "hw_gpu_utilization_ratio",
    help: "Share of the GPU's last sample period in which a kernel ran",
    labels: ["hw_gpu_task"],
    values: ({ utilization }) => [[{ hw_gpu_task: "general" }, share(utilization)]],
  },
  {
    name: "hw_gpu_memory_controller_utilization_ratio",
    help: "Share of it in which the GPU's memory was read or written",
    values: ({ memoryActivity }) => one(share(memoryActivity)),
  },
  {
    name: "hw_gpu_memory_usage_bytes",
    help: "GPU memory in use, by all processes",
    values: ({ memoryUsedBytes }) => one(memoryUsedBytes),
  },
  {
    name: "hw_gpu_memory_limit_bytes",
    help: "GPU memory there is",
    values: ({ memoryTotalBytes }) => one(memoryTotalBytes),
  },
  {
    name: "hw_gpu_memory_utilization_ratio",
    help: "Share of GPU memory in use",
    values: ({ memoryUsedBytes: used, memoryTotalBytes: total }) =>
      one(used === undefined || total === undefined ? undefined : used / total),
  },
  {
    name: "hw_gpu_process_memory_usage_bytes",
    help: "GPU memory by process; pids are the host's",
    labels: ["process_pid"],
    values: ({ processes = [] }) =>
      processes.map(({ pid, memoryBytes }) => [{ process_pid: String(pid) }, memoryBytes]),
  },
  {
    name: "hw_gpu_speed_hertz",
    help: "Clocks of the GPU's multiprocessors (sm) and memory",
    labels: ["clock"],
    values: ({ smClockHertz, memoryClockHertz }) => [
      [{ clock: "sm" }, smClockHertz],
      [{ clock: "memory" }, memoryClockHertz],
    ],
  },
  {
    name: "hw_gpu_throttled",
    help: "1 for each reason that holds the GPU's clocks down now, as NVML names it",
    labels: ["reason"],
    values: ({ throttleReasons = [] }) => throttleReasons.map((reason) => [{ reason }, 1]),
  },
  {
    name: "hw_gpu_mig_enabled",
    help: "1 where the GPU is split into MIG slices",
    values: ({ migEnabled }) => one(migEnabled === undefined ? undefined : Number(migEnabled)),
  },
  { name: "hw_power_watts", help: "Power the board draws", values: ({ powerWatts }) => one(powerWatts) },
  {
    name: "hw_energy_joules_total",
    help: "Energy the board drew since its driver was loaded",
    total: true,
    values: ({ energyJoules }) => one(energyJoules),
  },
  {
    name: "hw_temperature_celsius",
    help: "Temperature of the die",
    values: ({ temperatureCelsius }) => one(temperatureCelsius),
  },
  {
    name: "hw_errors_total",
    help: "ECC errors since the driver was loaded",
    labels: ["error_type"],
    total: true,
    values: ({ eccCorrected, eccUncorrected }) => [
      [{ error_type: "corrected" }, eccCorrected],
      [{ error_type: "uncorrected" }, eccUncorrected],
    ],
  },
];

/** On every series: which GPU it is, and which device it is to the engine. */
const IDENTITY = ["hw_id", "hw_type", "hw_vendor", "hw_model", "device"] as const;

const identityOf = ({ device, reading }: DeviceReading): Record<(typeof IDENTITY)[number], string> => ({
  hw_id: reading.uuid ?? device,
  hw_type: "gpu",
  hw_vendor: "NVIDIA",
  hw_model: reading.name ?? "unknown",
  device,
});

/** The GPUs in Prometheus' terms. Without a GPU there are no such metrics at all. */
export class GpuMetrics {
  #metrics: readonly { readonly row: Row; readonly metric: Gauge | Counter }[] | undefined;

  constructor(
    private readonly registry: MetricsRegistry,
    private readonly tracing: Tracing,
  ) {}

  /** Reads the GPUs, once for a whole page. */
  async update(): Promise<void> {
    const readings = await this.tracing.gpus();
    if (readings.length === 0 && this.#metrics === undefined) return;
    this.#metrics ??= ROWS.map((row) => ({ row, metric: metricOf(row, this.registry) }));
    for (const { row, metric } of this.#metrics) {
      metric.reset();
      for (const each of readings) {
        for (const [labels, value] of row.values(each.reading)) {
          if (value !== undefined) metric.inc({ ...identityOf(each), ...labels }, value);
        }
      }
    }
  }
}

function metricOf({ name, help, labels = [], total }: Row, registry: MetricsRegistry): Gauge | Counter {
  const settings = { name, help, labelNames: [...IDENTITY, ...labels], registers: [registry] };
  return total ? new Counter(settings) : new Gauge(settings);
}
