import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { type CheckRow, failure } from "./check-row.js";
import type { CheckSettings } from "./settings.js";

const CHILD = fileURLToPath(new URL("section-child.js", import.meta.url));
/** Kept of what a process said before it ended in failure. */
const LAST_CHARACTERS = 4000;
const ERROR_LINE = /^(?:\w*Error|terminate called).*$/m;

export interface SectionOrder {
  readonly section: string;
  readonly device: CheckSettings["device"];
  readonly model: string;
}

/**
 * Runs a section in a process of its own, so that one that crashes or hangs on a device costs its rows alone. Resolves
 * when it has ended, with whether it came to its end; what went wrong is a row.
 */
export async function runSection(
  order: SectionOrder,
  limitS: number,
  env: NodeJS.ProcessEnv,
  tell: (row: CheckRow) => void,
  child: string = CHILD,
): Promise<boolean> {
  // Its input ends with this process, and with that the section, however this process ended.
  const stdio = ["pipe", "ignore", "pipe", "pipe"] as const;
  // A group of its own: with it ends what it started.
  const running = spawn(process.execPath, [child, JSON.stringify(order)], { env, stdio: [...stdio], detached: true });
  const end = () => process.kill(-(running.pid as number), "SIGKILL");
  const interrupted = () => {
    end();
    process.exit(130);
  };
  const signals = ["SIGINT", "SIGTERM"] as const;
  for (const one of signals) process.once(one, interrupted);
  const timer = setTimeout(end, limitS * 1000);
  const began = performance.now();
  let said = "";
  running.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-LAST_CHARACTERS);
  });
  let complete = false;
  createInterface({ input: running.stdio[3] as Readable }).on("line", (line) => {
    const row = JSON.parse(line) as CheckRow | null;
    if (row === null) complete = true;
    else tell(row);
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
    running.once("close", (...how) => resolve(how)),
  );
  clearTimeout(timer);
  for (const one of signals) process.removeListener(one, interrupted);
  // What a driver's library does as the process ends costs no row.
  if (complete) return true;
  const slow = signal === "SIGKILL" && performance.now() - began >= limitS * 1000;
  const how = slow
    ? `it took more than ${Math.round(limitS)} s`
    : `its process ended (${signal ?? code})${errorOf(said)}`;
  tell(failure(order.section, how));
  return false;
}

function errorOf(said: string): string {
  const line = ERROR_LINE.exec(said)?.[0];
  return line === undefined ? "" : `: ${line}`;
}
