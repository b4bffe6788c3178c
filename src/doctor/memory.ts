import { type Finding, ok, size, warning } from "./finding.js";

/** Bytes. */
export interface HostMemory {
  readonly total: number;
  /** What could be had without swapping. */
  readonly available: number;
  /** Of the container, or another control group; the same as `total` where there is none. */
  readonly limit: number;
}

const LEAST = 512 * 2 ** 20;

export function checkMemory({ total, available, limit }: HostMemory): Finding[] {
  const limited = limit < total ? `, of which this container may use ${size(limit)}` : "";
  const free = Math.min(available, limit);
  const what = `${size(total)}${limited}, ${size(free)} available`;
  if (free >= LEAST) return [ok(what)];
  return [
    warning(
      what,
      "Raise the container's limit, or end what else uses memory: the engine would be killed for want of it.",
    ),
  ];
}
