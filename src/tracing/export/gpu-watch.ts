import type { GpuReading, GpuSample, GpuSampler } from "../../gpu/sampler.js";
import type { DeviceEnergy } from "./device-energy.js";
import { drawnBetween, GpuHistory } from "./gpu-history.js";
import type { GpuHistories } from "./gpu-tags.js";

/** Sampling takes at most this share of the time, whatever one sample costs. */
const MAX_SHARE = 0.05;
const MIN_PERIOD_MS = 100;

interface GpuModule {
  openGpuSampler(deviceId: number, tell: (line: string) => void): Promise<GpuSampler | undefined>;
}

/** A device, as spans name it (`cuda:0`), and what its GPU tells now. */
export interface DeviceReading {
  readonly device: string;
  readonly reading: GpuReading;
}

export interface GpuWatch {
  readonly histories: GpuHistories;
  /** Of each device that can be read now. Never rejects. */
  read(): Promise<readonly DeviceReading[]>;
}

/** Fills a history, and counts the energy, of each device as long as it can be read; one that cannot has no history and no timer. */
export async function watchGpus(
  moduleUrl: string,
  deviceIds: readonly number[],
  energy: DeviceEnergy,
  tell: (line: string) => void,
): Promise<GpuWatch> {
  const histories = new Map<string, GpuHistory>();
  const samplers = new Map<string, GpuSampler>();
  const watch: GpuWatch = {
    histories,
    read: async () => (await Promise.all([...samplers].map(readDevice))).flat(),
  };
  if (deviceIds.length === 0) return watch;
  const { openGpuSampler } = (await import(moduleUrl)) as GpuModule;
  for (const [index, deviceId] of deviceIds.entries()) {
    const sampler = await openGpuSampler(deviceId, tell);
    if (sampler === undefined) continue;
    const history = new GpuHistory();
    histories.set(`cuda:${deviceId}`, history);
    samplers.set(`cuda:${deviceId}`, sampler);
    let before: GpuSample | undefined;
    await sampleFrom(sampler, (sample) => {
      history.add(sample);
      const drawn = drawnBetween(before, sample);
      const watts = sample.powerWatts ?? drawn?.watts;
      if (watts !== undefined) energy.add(index, sample.at, watts, drawn?.joules);
      before = sample;
    });
  }
  return watch;
}

async function readDevice([device, sampler]: readonly [string, GpuSampler]): Promise<DeviceReading[]> {
  try {
    const reading = await sampler.read();
    return reading === undefined ? [] : [{ device, reading }];
  } catch {
    return [];
  }
}

async function sampleFrom(sampler: GpuSampler, take: (sample: GpuSample) => void): Promise<void> {
  const began = performance.now();
  let sample: GpuSample | undefined;
  try {
    sample = await sampler.sample();
  } catch {
    // A reading that failed is a gap in the history, nothing more.
  }
  if (sample !== undefined) take(sample);
  const period = Math.max(MIN_PERIOD_MS, sampler.periodMs, (performance.now() - began) / MAX_SHARE);
  setTimeout(() => void sampleFrom(sampler, take), period);
}
