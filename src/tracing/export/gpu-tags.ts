import type { GpuSample } from "../../gpu/sampler.js";
import type { AttributeValue, SpanRecord } from "./span-record.js";

const TAGGED_SPANS: ReadonlySet<string> = new Set(["inference.forward", "model.generate", "model.load", "engine.step"]);

/** At ten a second, a bit under seven minutes. */
const HISTORY = 4_096;

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

  /** Mean utilization and power and peak memory over [start, end], in microseconds; undefined without a sample for it. */
  over(start: number, end: number): { utilization: number; memoryUsedBytes: number; powerWatts?: number } | undefined {
    const relevant = this.#covering(start, end);
    if (relevant.length === 0) return undefined;
    const power = timeMean(relevant, start, end, ({ powerWatts }) => powerWatts);
    return {
      utilization: timeMean(relevant, start, end, ({ utilization }) => utilization) ?? 0,
      memoryUsedBytes: Math.max(...relevant.map(({ memoryUsedBytes }) => memoryUsedBytes)),
      ...(power === undefined ? {} : { powerWatts: power }),
    };
  }

  /** The last sample at or before `start` and all after it up to `end`, oldest first. */
  #covering(start: number, end: number): GpuSample[] {
    const found: GpuSample[] = [];
    // Spans are tagged soon after they end: what is wanted is near the newest sample.
    for (let back = 1; back <= this.#samples.length; back++) {
      const sample = this.#samples[(this.#next - back + this.limit) % this.limit];
      if (sample === undefined) break;
      if (sample.at <= Math.max(start, end)) found.push(sample);
      if (sample.at <= start) break;
    }
    return found.reverse();
  }
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

/** By the device's name in spans, `cuda:0`. */
export type GpuHistories = ReadonlyMap<string, GpuHistory>;

/** Adds `ai.gpu.*` to spans that ran on one of the devices. */
export function addGpuTags(span: SpanRecord, histories: GpuHistories): void {
  const device = span.attributes["ai.device"];
  if (!TAGGED_SPANS.has(span.name) || typeof device !== "string") return;
  const usage = histories.get(device)?.over(span.start, span.end);
  if (usage === undefined) return;
  const tags: Record<string, AttributeValue> = span.attributes;
  tags["ai.gpu.utilization"] = Math.round(usage.utilization * 10) / 10;
  tags["ai.gpu.memory_used"] = usage.memoryUsedBytes;
  if (usage.powerWatts !== undefined) tags["ai.gpu.power"] = Math.round(usage.powerWatts * 10) / 10;
}
