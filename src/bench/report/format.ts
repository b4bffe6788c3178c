import type { Load, LoadPoint } from "../result.js";

/** Three significant digits, thousands apart: `0.042`, `12.3`, `1,240`. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toLocaleString("en-US", { maximumFractionDigits: Math.min(6, digits) });
}

/** `0.42 ms`, `12.3 ms`, `1.24 s`. */
export function duration(ms: number): string {
  return Math.abs(ms) < 1_000 ? `${number(ms)} ms` : `${number(ms / 1e3)} s`;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(share >= 1 || share === 0 ? 0 : 1)} %`;
}

/** `1 request`, `2 requests`. */
export function count(amount: number, noun: string): string {
  return `${amount.toLocaleString("en-US")} ${noun}${amount === 1 ? "" : "s"}`;
}

/** What a load's points lie along, and where this one lies. */
export function loadAxis(load: Load): { readonly label: string; readonly value: number } | undefined {
  if (load.kind === "closed") return { label: "requests at once", value: load.concurrency };
  if (load.kind === "open") return { label: "requests a second", value: load.perSecond };
  return undefined;
}

/** Points of one variant, in the order they were measured; without variants, all. */
export function byVariant(points: readonly LoadPoint[]): ReadonlyMap<string, readonly LoadPoint[]> {
  const groups = new Map<string, LoadPoint[]>();
  for (const point of points) {
    const name = point.variant ?? "";
    groups.set(name, [...(groups.get(name) ?? []), point]);
  }
  return groups;
}
