import type { GpuHistory } from "./gpu-history.js";
import type { AttributeValue, SpanRecord } from "./span-record.js";

const TAGGED_SPANS: ReadonlySet<string> = new Set(["inference.forward", "model.generate", "model.load", "engine.step"]);

/** Clocks that are low because nothing runs, or as somebody set them, hold nothing up. */
const NOT_HELD_DOWN: ReadonlySet<string> = new Set([
  "gpu_idle",
  "applications_clocks_setting",
  "display_clock_setting",
  "sync_boost",
]);

/** By the device's name in spans, `cuda:0`. */
export type GpuHistories = ReadonlyMap<string, GpuHistory>;

/** Adds `ai.gpu.*` to spans that ran on one of the devices. */
export function addGpuTags(span: SpanRecord, histories: GpuHistories): void {
  const device = span.attributes["ai.device"];
  if (!TAGGED_SPANS.has(span.name) || typeof device !== "string") return;
  const usage = histories.get(device)?.over(span.start, span.end);
  if (usage === undefined) return;
  const tags: Record<string, AttributeValue> = span.attributes;
  if (usage.utilization !== undefined) tags["ai.gpu.utilization"] = toTenth(usage.utilization);
  if (usage.memoryUsedBytes !== undefined) tags["ai.gpu.memory_used"] = usage.memoryUsedBytes;
  if (usage.powerWatts !== undefined) tags["ai.gpu.power"] = toTenth(usage.powerWatts);
  const throttled = usage.throttleReasons.filter((reason) => !NOT_HELD_DOWN.has(reason));
  if (throttled.length > 0) tags["ai.gpu.throttled"] = throttled.join(",");
}

const toTenth = (value: number): number => Math.round(value * 10) / 10;
