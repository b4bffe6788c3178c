import type { GpuReading } from "../../../src/gpu/sample.js";
import { openGpuSampler } from "../../../src/gpu/sampler.js";
import type { HalfDtype } from "../../bench/model/bench-models.js";
import { nativeBusBytes, nodeBusBytes } from "./bus-bytes.js";
import type { CheckRow } from "./check-row.js";
import { EngineStreams, type StreamsMeasure } from "./engine-streams.js";
import { openRunner, type WantedRunner } from "./runners.js";
import type { SectionContext } from "./section.js";

export type CheckedRuntime = WantedRunner["runtime"];

const HALF_BYTES = 2;
const SAMPLE_MS = 50;

export const decodingName = (dtype: HalfDtype, runtime: CheckedRuntime, streams: number): string =>
  `${dtype} ${runtime}, ${streams} stream${streams === 1 ? "" : "s"}`;
export const stepName = (name: string): string => `${name}: one step`;
export const engineShareName = (name: string): string => `${name}: engine's share of it`;

/** Streams side by side through the engine, and what they do to the bus, the cache and the GPU meanwhile. */
export async function measureDecoding(
  context: SectionContext,
  dtype: HalfDtype,
  runtime: CheckedRuntime,
): Promise<void> {
  const { settings, model, tell } = context;
  const { device, streams } = settings;
  const steps = runtime === "native" ? settings.steps : settings.nodeSteps;
  const maxSequences = Math.max(...streams);
  const runner = await openRunner({ modelDir: model, dtype, device, runtime, maxSequences });
  const engine = new EngineStreams(runner, maxSequences);
  // What is compiled or allocated at the first steps is not measured.
  await engine.measure(1, 8, settings.steps);
  for (const count of streams) {
    const name = decodingName(dtype, runtime, count);
    const { result, rows } = await watched(device, name, () => engine.measure(count, settings.context, steps));
    tell({ name, value: result.tokensPerSecond, unit: "tokens/s" });
    tell({ name: stepName(name), value: result.stepMs, unit: "ms" });
    tell({ name: engineShareName(name), value: 100 * result.engineShare, unit: "%" });
    const size = { rows: count, context: settings.context };
    const bytes = (runtime === "native" ? nativeBusBytes : nodeBusBytes)(runner.model, size, HALF_BYTES);
    tell({ name: `${name}: bytes over the bus a step (computed)`, value: bytes, unit: "bytes" });
    if (runtime === "native") for (const row of [...cacheRows(name, result), ...rows]) tell(row);
  }
}

function cacheRows(name: string, { allocation: { tokens, bytes, start, end } }: StreamsMeasure): CheckRow[] {
  return [
    { name: `${name}: KV cache of one stream`, value: bytes, unit: `bytes for ${tokens} tokens` },
    { name: `${name}: its reservation`, value: (end - start) / 1000, unit: "ms" },
  ];
}

/** The GPU while `work` goes on. */
async function watched<Result>(
  device: SectionContext["settings"]["device"],
  name: string,
  work: () => Promise<Result>,
): Promise<{ readonly result: Result; readonly rows: readonly CheckRow[] }> {
  const told = `${name}: GPU under load`;
  if (device === "cpu") return { result: await work(), rows: [{ name: told, value: "not read: this is a rehearsal" }] };
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

function readingRows(name: string, source: string | undefined, readings: readonly GpuReading[]): CheckRow[] {
  if (readings.length === 0)
    return [{ name, value: `no reading (${source ?? "neither NVML nor nvidia-smi"})`, met: false }];
  const mean = (of: (reading: GpuReading) => number | undefined): number => {
    const values = readings.flatMap((reading) => of(reading) ?? []);
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  };
  const peak = Math.max(...readings.map(({ memoryUsedBytes = 0 }) => memoryUsedBytes));
  return [
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
}
