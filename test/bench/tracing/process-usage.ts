/** What processes use, where they run, and holding them, as Linux has it. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** Processor time of all threads that live, in milliseconds. */
export function cpuMs(pids: readonly number[]): number {
  let nanoseconds = 0;
  for (const pid of pids) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
    }
  }
  return nanoseconds / 1e6;
}

/** Resident memory, in MiB; what the processes share counts for each. */
export function residentMiB(pids: readonly number[]): number {
  const sizes = pids.map((pid) => /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  return sizes.reduce((sum, size) => sum + Number(size) / 1024, 0);
}

/** Held processes do nothing at all until they go on: what they have still to do, they do in their own time. */
export function hold(pids: readonly number[]): void {
  for (const pid of pids) process.kill(pid, "SIGSTOP");
}

export function goOn(pids: readonly number[]): void {
  for (const pid of [...pids].reverse()) process.kill(pid, "SIGCONT");
}

/** Keeps all their threads on these processors, such as `0` or `1-15`. Throws without util-linux's `taskset`. */
export function pin(pids: readonly number[], processors: string): void {
  for (const pid of pids) execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", processors, String(pid)]);
}
