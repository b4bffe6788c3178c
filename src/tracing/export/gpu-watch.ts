import type { GpuSample, GpuSampler } from "../../gpu/sampler.js";
import { type GpuHistories, GpuHistory } from "./gpu-tags.js";

/** Sampling takes at most this share of the time, whatever one sample costs. */
const MAX_SHARE = 0.05;
const MIN_PERIOD_MS = 100;

interface GpuModule {
  openGpuSampler(deviceId: number): Promise<GpuSampler | undefined>;
}

/** Fills a history for each device as long as it can be read; one that cannot has no history and no timer. */
export async function watchGpus(moduleUrl: string, deviceIds: readonly number[]): Promise<GpuHistories> {
  const histories = new Map<string, GpuHistory>();
  if (deviceIds.length === 0) return histories;
  const { openGpuSampler } = (await import(moduleUrl)) as GpuModule;
  for (const deviceId of deviceIds) {
    const sampler = await openGpuSampler(deviceId);
    if (sampler === undefined) continue;
    const history = new GpuHistory();
    histories.set(`cuda:${deviceId}`, history);
    await sampleInto(history, sampler);
  }
  return histories;
}

async function sampleInto(history: GpuHistory, sampler: GpuSampler): Promise<void> {
  const began = performance.now();
  let sample: GpuSample | undefined;
  try {
    sample = await sampler.sample();
  } catch {
    // A reading that failed is a gap in the history, nothing more.
  }
  if (sample !== undefined) history.add(sample);
  const period = Math.max(MIN_PERIOD_MS, sampler.periodMs, (performance.now() - began) / MAX_SHARE);
  setTimeout(() => void sampleInto(history, sampler), period);
}
