import type { GpuSample, GpuSampler } from "../../gpu/sampler.js";
import { GpuHistory } from "./gpu-tags.js";

/** Sampling takes at most this share of the time, whatever one sample costs. */
const MAX_SHARE = 0.05;
const MIN_PERIOD_MS = 100;

interface GpuModule {
  openGpuSampler(deviceId: number): Promise<GpuSampler | undefined>;
}

/** Fills a history from a device as long as one can be read; otherwise there is no history and no timer. */
export async function watchGpu(moduleUrl: string, deviceId: number): Promise<GpuHistory | undefined> {
  const { openGpuSampler } = (await import(moduleUrl)) as GpuModule;
  const sampler = await openGpuSampler(deviceId);
  if (sampler === undefined) return undefined;
  const history = new GpuHistory();
  await sampleInto(history, sampler);
  return history;
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
