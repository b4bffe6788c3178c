import { accessSync, constants, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { fileProblem, VitrineError } from "../../errors.js";
import { makeSpoolDirectory, SPOOL_MODE } from "./spool.js";

const LOCK = "lock";
const HOLDER = /^(\d+) (\S*) (\S*)\n$/;

/** Makes `directory` where it is not there. Throws VitrineError `config_invalid` where spans cannot be kept in it. */
export function checkSpool(directory: string): void {
  try {
    makeSpoolDirectory(directory);
    accessSync(directory, constants.R_OK | constants.W_OK);
  } catch (error) {
    throw unwritable(directory, error);
  }
}

/**
 * Claims `directory` for this process, as `checkSpool` would have it, and returns what gives it up. Two processes would number
 * their files alike and send each other's spans. A lock whose process is gone is taken over.
 * Throws VitrineError `config_invalid` where spans cannot be kept there.
 */
export function claimSpool(directory: string): () => void {
  const lock = join(directory, LOCK);
  const own = `${process.pid} ${startOf(process.pid) ?? ""} ${hostname()}\n`;
  checkSpool(directory);
  try {
    if (!create(lock, own)) {
      clearStale(directory, lock);
      if (!create(lock, own)) throw inUse(directory, lock, "another process that starts just now");
    }
  } catch (error) {
    if (error instanceof VitrineError) throw error;
    throw unwritable(directory, error);
  }
  return () => {
    if (read(lock) === own) rmSync(lock, { force: true });
  };
}

function create(lock: string, content: string): boolean {
  try {
    writeFileSync(lock, content, { flag: "wx", mode: SPOOL_MODE.file });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Throws where the holder may be alive. */
function clearStale(directory: string, lock: string): void {
  const content = read(lock);
  if (content === undefined) return;
  const [, pid, started, host] = HOLDER.exec(content) ?? [];
  if (pid === undefined) throw inUse(directory, lock, "a process that did not write its name");
  if (host !== hostname()) throw inUse(directory, lock, `process ${pid} of ${host}`);
  const running = startOf(Number(pid));
  if (running !== undefined && (running === "" || running === started)) {
    throw inUse(directory, lock, `process ${pid}`);
  }
  // Moved away first: of two processes that find it stale at once, one moves it, and a lock made meanwhile is put back.
  const aside = `${lock}.${process.pid}`;
  try {
    renameSync(lock, aside);
  } catch {
    return;
  }
  const moved = read(aside);
  if (moved !== undefined && moved !== content) create(lock, moved);
  rmSync(aside, { force: true });
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/**
 * When a process started, in a form to compare, as its id may have gone to another; "" where the system does not tell, undefined
 * where there is no such process. Linux: the boot, and ticks since (proc(5), /proc/PID/stat).
 */
function startOf(pid: number): string | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat !== undefined) {
    // The name before it is in brackets and may hold spaces and brackets.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const dead = fields[0] === "Z" || fields[0] === "X";
    return dead ? undefined : `${read("/proc/sys/kernel/random/boot_id")?.trim() ?? ""}/${fields[19]}`;
  }
  try {
    process.kill(pid, 0);
    return "";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM" ? "" : undefined;
  }
}

function inUse(directory: string, lock: string, holder: string): VitrineError {
  return wrong(
    `${directory} is in use by ${holder}; give each process a directory of its own, or remove ${lock} if that process is gone`,
  );
}

function unwritable(directory: string, error: unknown): VitrineError {
  return wrong(`${directory} cannot be written to, ${fileProblem(error)}`);
}

function wrong(what: string): VitrineError {
  const param = "--trace-spool";
  return new VitrineError("config_invalid", `${param}: ${what}.`, { param });
}
