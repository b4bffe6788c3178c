import type { GpuSample, GpuSampler } from "../../gpu/sampler.js";
import type { DeviceEnergy } from "./device-energy.js";
import { type GpuHistories, GpuHistory } from "./gpu-tags.js";

/** Sampling takes at most this share of the time, whatever one sample costs. */
const MAX_SHARE = 0.05;
const MIN_PERIOD_MS = 100;

interface GpuModule {
  openGpuSampler(deviceId: number): Promise<GpuSampler | undefined>;
}

/** Fills a history, and counts the energy, of each device as long as it can be read; one that cannot has no history and no timer. */
export async function watchGpus(
  moduleUrl: string,
  deviceIds: readonly number[],
  energy: DeviceEnergy,
): Promise<GpuHistories> {
  const { openGpuSampler } = (await import(moduleUrl)) as GpuModule;
  const histories = new Map<string, GpuHistory>();
  for (const [index, deviceId] of deviceIds.entries()) {
    const sampler = await openGpuSampler(deviceId);
    if (sampler === undefined) continue;
    const history = new GpuHistory();
    histories.set(`cuda:${deviceId}`, history);
    await watch(sampler, (sample) => {
      history.add(sample);
      if (sample.powerWatts !== undefined) energy.add(index, sample.at, sample.powerWatts);
    });
  }
  return histories;
}

async function watch(sampler: GpuSampler, take: (sample: GpuSample) => void): Promise<void> {
  const began = performance.now();
  let sample: GpuSample | undefined;
  try {
    sample = await sampler.sample();
  } catch {
    // A reading that failed is a gap in the history, nothing more.
  }
  if (sample !== undefined) take(sample);
  const period = Math.max(MIN_PERIOD_MS, sampler.periodMs, (performance.now() - began) / MAX_SHARE);
  setTimeout(() => void watch(sampler, take), period);
}
