import type { GpuReading } from "../../../src/gpu/sample.js";
import { openGpuSampler } from "../../../src/gpu/sampler.js";
import { type CheckRow, skipped } from "./check-row.js";
import type { SectionContext } from "./section.js";

const SAMPLE_MS = 50;

/** The GPU while `work` goes on. */
export async function watched<Result>(
  device: SectionContext["settings"]["device"],
  name: string,
  work: () => Promise<Result>,
): Promise<{ readonly result: Result; readonly rows: readonly CheckRow[] }> {
  const told = `${name}: GPU under load`;
  if (device === "cpu") return { result: await work(), rows: [skipped(told, "it runs on the CPU")] };
  const sampler = await openGpuSampler(0);
  const readings: GpuReading[] = [];
  const timer = setInterval(() => void sampler?.read().then((reading) => reading && readings.push(reading)), SAMPLE_MS);
  try {
    return { result: await work(), rows: readingRows(told, sampler?.source, readings) };
  } finally {
    clearInterval(timer);
    sampler?.close();
  }
}

export function readingRows(name: string, source: string | undefined, readings: readonly GpuReading[]): CheckRow[] {
  if (readings.length === 0)
    return [{ name, value: `no reading (${source ?? "neither NVML nor nvidia-smi"})`, met: false }];
  const mean = (of: (reading: GpuReading) => number | undefined): number => {
    const values = readings.flatMap((reading) => of(reading) ?? []);
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  };
  const peak = Math.max(...readings.map(({ memoryUsedBytes = 0 }) => memoryUsedBytes));
  const rows = [
    { name: `${name}, utilization (${source})`, value: mean(({ utilization }) => utilization), unit: "%" },
    { name: `${name}, power`, value: mean(({ powerWatts }) => powerWatts), unit: "W" },
    { name: `${name}, memory at most`, value: peak / 2 ** 20, unit: "MiB" },
    { name: `${name}, SM clock`, value: mean(({ smClockHertz }) => smClockHertz) / 1e6, unit: "MHz" },
    {
      name: `${name}, temperature`,
      value: mean(({ temperatureCelsius }) => temperatureCelsius),
      unit: "degrees Celsius",
    },
  ];
  // What this GPU does not tell.
  return rows.filter(({ value }) => Number.isFinite(value));
}
