import type { GpuSample } from "../../gpu/sampler.js";

/** At ten a second, a bit under seven minutes. */
const HISTORY = 4_096;

/** What a GPU did over an interval. What it does not tell is absent. */
export interface GpuUsage {
  /** Mean percent. */
  readonly utilization?: number;
  /** Peak. */
  readonly memoryUsedBytes?: number;
  /** Mean. */
  readonly powerWatts?: number;
  /** All that held its clocks down at some time. */
  readonly throttleReasons: readonly string[];
}

/** The last samples, and what they say about an interval. A sample holds until the next one. */
export class GpuHistory {
  readonly #samples: GpuSample[] = [];
  #next = 0;

  constructor(private readonly limit = HISTORY) {}

  /** Samples come in the order of their times. */
  add(sample: GpuSample): void {
    this.#samples[this.#next] = sample;
    this.#next = (this.#next + 1) % this.limit;
  }

  /** [start, end] in microseconds; undefined without a sample for it. */
  over(start: number, end: number): GpuUsage | undefined {
    const { samples, before } = this.#covering(start, end);
    if (samples.length === 0) return undefined;
    const utilization = timeMean(samples, start, end, (sample) => sample.utilization);
    const peak = Math.max(...samples.map(({ memoryUsedBytes }) => memoryUsedBytes ?? -1));
    const power = meanPower(before, samples) ?? timeMean(samples, start, end, (sample) => sample.powerWatts);
    return {
      ...(utilization === undefined ? {} : { utilization }),
      ...(peak < 0 ? {} : { memoryUsedBytes: peak }),
      ...(power === undefined ? {} : { powerWatts: power }),
      throttleReasons: [...new Set(samples.flatMap(({ throttleReasons = [] }) => throttleReasons))],
    };
  }

  /** The last sample at or before `start` and all after it up to `end`, oldest first; and the one before them. */
  #covering(start: number, end: number): { samples: GpuSample[]; before: GpuSample | undefined } {
    const samples: GpuSample[] = [];
    let back = 1;
    // Spans are tagged soon after they end: what is wanted is near the newest sample.
    for (; back <= this.#samples.length; back++) {
      const sample = this.#at(back);
      if (sample === undefined) break;
      if (sample.at <= Math.max(start, end)) samples.push(sample);
      if (sample.at <= start) break;
    }
    return { samples: samples.reverse(), before: back < this.#samples.length ? this.#at(back + 1) : undefined };
  }

  /** 1 is the newest. */
  #at(back: number): GpuSample | undefined {
    return this.#samples[(this.#next - back + this.limit) % this.limit];
  }
}

/** A short interval has one sample: then what was drawn since the one before it counts. */
function meanPower(before: GpuSample | undefined, samples: readonly GpuSample[]): number | undefined {
  return drawnBetween(samples.length > 1 ? samples[0] : before, samples.at(-1))?.watts;
}

/**
 * By the device's own energy counter, which misses nothing between two samples as readings of power do. Undefined where
 * there is no counter, or it began anew.
 */
export function drawnBetween(
  from: GpuSample | undefined,
  to: GpuSample | undefined,
): { readonly joules: number; readonly watts: number } | undefined {
  if (from?.energyJoules === undefined || to?.energyJoules === undefined || to.at <= from.at) return undefined;
  const joules = to.energyJoules - from.energyJoules;
  return joules < 0 ? undefined : { joules, watts: joules / ((to.at - from.at) / 1e6) };
}

/** Mean weighted by how long each sample holds inside the interval; plain mean for an interval of no length. */
function timeMean(
  samples: readonly GpuSample[],
  start: number,
  end: number,
  read: (sample: GpuSample) => number | undefined,
): number | undefined {
  let total = 0;
  let weight = 0;
  samples.forEach((sample, index) => {
    const value = read(sample);
    if (value === undefined) return;
    // The first sample also stands for the time before it: nothing nearer is known.
    const from = index === 0 ? start : Math.max(start, sample.at);
    const until = Math.min(end, samples[index + 1]?.at ?? end);
    const held = end > start ? Math.max(0, until - from) : 1;
    total += value * held;
    weight += held;
  });
  return weight === 0 ? undefined : total / weight;
}
