import assert from "node:assert/strict";
import { GpuMetrics } from "../../../../src/server/metrics/gpu-metrics.js";
import { createRegistry, inFormat } from "../../../../src/server/metrics/metrics-format.js";
import type { DeviceReading } from "../../../../src/tracing/contract.js";
import { FakeTracing } from "../../../support/fake-tracing.js";

const H200: DeviceReading = {
  device: "cuda:0",
  reading: {
    at: 1,
    uuid: "GPU-aa",
    name: "NVIDIA H200",
    utilization: 37,
    memoryActivity: 11,
    memoryUsedBytes: 40,
    memoryTotalBytes: 160,
    powerWatts: 312.5,
    energyJoules: 9_000.5,
    temperatureCelsius: 61,
    smClockHertz: 1.98e9,
    memoryClockHertz: 3.2e9,
    throttleReasons: ["sw_power_cap"],
    migEnabled: false,
    eccCorrected: 12,
    eccUncorrected: 0,
    processes: [
      { pid: 7, memoryBytes: 30 },
      { pid: 8, memoryBytes: undefined },
    ],
  },
};
const WHICH = 'hw_id="GPU-aa",hw_type="gpu",hw_vendor="NVIDIA",hw_model="NVIDIA H200",device="cuda:0"';

describe("GPU metrics", () => {
  const tracing = new FakeTracing();
  const registry = createRegistry();
  const metrics = new GpuMetrics(registry, tracing);

  async function page(...readings: readonly DeviceReading[]): Promise<string[]> {
    tracing.readings = readings;
    await metrics.update();
    const text = await inFormat(registry, "text/plain; version=0.0.4; charset=utf-8").metrics();
    return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  }

  it("are not there without a GPU, not even by name", async () => {
    assert.deepEqual(await page(), []);
    assert.equal((await registry.metrics()).includes("hw_"), false);
  });

  it("have OpenTelemetry's names and units", async () => {
    assert.deepEqual(await page(H200), [
      `hw_gpu_utilization_ratio{${WHICH},hw_gpu_task="general"} 0.37`,
      `hw_gpu_memory_controller_utilization_ratio{${WHICH}} 0.11`,
      `hw_gpu_memory_usage_bytes{${WHICH}} 40`,
      `hw_gpu_memory_limit_bytes{${WHICH}} 160`,
      `hw_gpu_memory_utilization_ratio{${WHICH}} 0.25`,
      `hw_gpu_process_memory_usage_bytes{${WHICH},process_pid="7"} 30`,
      `hw_gpu_speed_hertz{${WHICH},clock="sm"} 1980000000`,
      `hw_gpu_speed_hertz{${WHICH},clock="memory"} 3200000000`,
      `hw_gpu_throttled{${WHICH},reason="sw_power_cap"} 1`,
      `hw_gpu_mig_enabled{${WHICH}} 0`,
      `hw_power_watts{${WHICH}} 312.5`,
      `hw_energy_joules_total{${WHICH}} 9000.5`,
      `hw_temperature_celsius{${WHICH}} 61`,
      `hw_errors_total{${WHICH},error_type="corrected"} 12`,
      `hw_errors_total{${WHICH},error_type="uncorrected"} 0`,
    ]);
  });

  it("leave out what a GPU does not tell, and what was", async () => {
    assert.deepEqual(await page({ device: "cuda:1", reading: { at: 2, powerWatts: 70 } }), [
      'hw_power_watts{hw_id="cuda:1",hw_type="gpu",hw_vendor="NVIDIA",hw_model="unknown",device="cuda:1"} 70',
    ]);
    assert.deepEqual(await page(), []);
  });
});
