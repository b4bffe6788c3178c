import { readFileSync } from "node:fs";
import { freemem, totalmem } from "node:os";
import { dirname } from "node:path/posix";
import type { MemoryState } from "./memory-budget.js";

/** A file's text; undefined where there is none. */
export type ReadText = (path: string) => string | undefined;

/**
 * Memory that this process may use: the machine's, or what its control groups leave it (version 1 or 2, and those above
 * them). File pages that nobody uses count as free: model files are read through them.
 */
export function hostMemory(read: ReadText = readIfThere): MemoryState {
  const meminfo = read("/proc/meminfo") ?? "";
  const kibibytes = (name: string): number | undefined => numberAfter(meminfo, `${name}:`);
  const total = (kibibytes("MemTotal") ?? totalmem() / 1024) * 1024;
  const available = (kibibytes("MemAvailable") ?? freemem() / 1024) * 1024;
  let tightest: MemoryState = { used: total - available, total };
  for (const group of controlGroups(read("/proc/self/cgroup") ?? "")) {
    const limit = Number(read(`${group.folder}/${group.limit}`)?.trim());
    if (!(limit > 0 && limit < total)) continue;
    const idle = numberAfter(read(`${group.folder}/memory.stat`) ?? "", group.idle) ?? 0;
    const used = Math.max(0, Number(read(`${group.folder}/${group.usage}`) ?? 0) - idle);
    if (limit - used < tightest.total - tightest.used) tightest = { used, total: limit };
  }
  return tightest;
}

interface ControlGroup {
  readonly folder: string;
  /** Files of the folder, and the line of `memory.stat` that says what could be dropped. */
  readonly limit: string;
  readonly usage: string;
  readonly idle: string;
}

const VERSION_1 = { limit: "memory.limit_in_bytes", usage: "memory.usage_in_bytes", idle: "total_inactive_file" };
const VERSION_2 = { limit: "memory.max", usage: "memory.current", idle: "inactive_file" };

/** This process's, each with those above it. In a container the path may be the host's: then its root is what there is. */
function controlGroups(own: string): ControlGroup[] {
  return own.split("\n").flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path === undefined) return [];
    if (controllers === "") return upwards(path).map((at) => ({ folder: `/sys/fs/cgroup${at}`, ...VERSION_2 }));
    if (!controllers?.split(",").includes("memory")) return [];
    return upwards(path).map((at) => ({ folder: `/sys/fs/cgroup/memory${at}`, ...VERSION_1 }));
  });
}

function upwards(path: string): string[] {
  return path === "/" || path === "." ? [""] : [path, ...upwards(dirname(path))];
}

function numberAfter(text: string, name: string): number | undefined {
  const found = text.split("\n").find((line) => line.startsWith(`${name} `) || line.startsWith(`${name}\t`));
  const value = Number.parseInt(found?.slice(name.length).trim() ?? "", 10);
  return Number.isNaN(value) ? undefined : value;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
