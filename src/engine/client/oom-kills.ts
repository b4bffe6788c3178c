import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Reads a file of the kernel; throws where there is none. */
export type ReadFile = (path: string) => string;

/**
 * What the kernel's out-of-memory killer did to the processes of this control group, the engine's among them.
 * Sources: the kernel's documentation of `memory.events` (cgroup-v2.rst) and `memory.oom_control` (cgroup-v1/memory.rst).
 */
export class OomKills {
  #seen: number | undefined;

  constructor(private readonly read: ReadFile = (path) => readFileSync(path, "utf8")) {
    this.#seen = this.#count();
  }

  /** Whether it has killed since this was last asked; false where the kernel does not tell. */
  happened(): boolean {
    const before = this.#seen;
    this.#seen = this.#count();
    return this.#seen !== undefined && before !== undefined && this.#seen > before;
  }

  #count(): number | undefined {
    for (const path of this.#files()) {
      const count = /^oom_kill (\d+)$/m.exec(this.#text(path))?.[1];
      if (count !== undefined) return Number(count);
    }
    return undefined;
  }

  /** From this group's own count to the whole machine's. A container may see its group at the root of the hierarchy. */
  #files(): readonly string[] {
    const groups = this.#text("/proc/self/cgroup");
    const unified = /^0::(.*)$/m.exec(groups)?.[1] ?? "";
    const memory = /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m.exec(groups)?.[1] ?? "";
    return [
      ...[unified, "/"].map((group) => join("/sys/fs/cgroup", group, "memory.events")),
      ...[memory, "/"].map((group) => join("/sys/fs/cgroup/memory", group, "memory.oom_control")),
      "/proc/vmstat",
    ];
  }

  #text(path: string): string {
    try {
      return this.read(path);
    } catch {
      return "";
    }
  }
}

/** One for the whole process: engines share its control group, and a kill is the death of one of them. */
export const systemOomKills = new OomKills();
