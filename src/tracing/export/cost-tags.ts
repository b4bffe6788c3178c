import type { GpuHistories } from "./gpu-tags.js";
import type { AttributeValue, SpanRecord } from "./span-record.js";

/** Adds what a span's share of device time took and cost, where the power or the price is known. */
export function addCostTags(span: SpanRecord, histories: GpuHistories, pricePerDeviceHour: number | undefined): void {
  const tags: Record<string, AttributeValue> = span.attributes;
  const deviceSeconds = tags["ai.cost.device_seconds"];
  if (typeof deviceSeconds !== "number") return;
  const watts = histories.get(String(tags["ai.device"]))?.over(span.start, span.end)?.powerWatts;
  if (watts !== undefined) tags["ai.cost.joules"] = toNano(deviceSeconds * watts);
  if (pricePerDeviceHour !== undefined) tags["ai.cost.amount"] = toNano((deviceSeconds / 3600) * pricePerDeviceHour);
}

const toNano = (value: number): number => Math.round(value * 1e9) / 1e9;
