/** Who listens on a port, from `/proc`. Source: proc(5), `/proc/net/tcp` and `/proc/PID/fd`. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

const LISTENING = "0A";

/** `node (process 4711)`; undefined where the system or the user's rights do not tell. */
export function portHolder(port: number, proc = "/proc"): string | undefined {
  const sockets = new Set(["tcp", "tcp6"].flatMap((table) => listeners(join(proc, "net", table), port)));
  if (sockets.size === 0) return undefined;
  for (const pid of entries(proc).filter((name) => /^\d+$/.test(name))) {
    const files = entries(join(proc, pid, "fd"));
    if (!files.some((file) => sockets.has(linkOf(join(proc, pid, "fd", file))))) continue;
    return `${text(join(proc, pid, "comm")).trim()} (process ${pid})`;
  }
  return undefined;
}

/** Links of listening sockets, as a process's folder of open files has them. */
function listeners(table: string, port: number): string[] {
  const rows = text(table).split("\n").slice(1);
  return rows.flatMap((row) => {
    const [, local = "", , state, , , , , , inode] = row.trim().split(/\s+/);
    const listens = state === LISTENING && Number.parseInt(local.split(":")[1] ?? "", 16) === port;
    return listens && inode !== undefined ? [`socket:[${inode}]`] : [];
  });
}

/** Processes of other users do not show theirs, and processes end. */
function orElse<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}

const entries = (folder: string): string[] => orElse(() => readdirSync(folder), []);
const linkOf = (path: string): string => orElse(() => readlinkSync(path), "");
const text = (path: string): string => orElse(() => readFileSync(path, "utf8"), "");
