import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { type CheckRow, failure } from "./check-row.js";
import type { CheckSettings } from "./settings.js";

const CHILD = fileURLToPath(new URL("section-child.js", import.meta.url));
/** Of what a process said before it ended in failure. */
const LAST_CHARACTERS = 300;

export interface SectionOrder {
  readonly section: string;
  readonly device: CheckSettings["device"];
  readonly model: string;
}

/**
 * Runs a section in a process of its own, so that one that crashes or hangs on a device costs its rows alone. Resolves
 * when it has ended; what went wrong is a row.
 */
export async function runSection(
  order: SectionOrder,
  limitS: number,
  env: NodeJS.ProcessEnv,
  tell: (row: CheckRow) => void,
  child: string = CHILD,
): Promise<void> {
  const stdio = ["ignore", "ignore", "pipe", "pipe"] as const;
  const running = spawn(process.execPath, [child, JSON.stringify(order)], { env, stdio: [...stdio] });
  const timer = setTimeout(() => running.kill("SIGKILL"), limitS * 1000);
  const began = performance.now();
  let said = "";
  running.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-LAST_CHARACTERS);
  });
  createInterface({ input: running.stdio[3] as Readable }).on("line", (line) => tell(JSON.parse(line) as CheckRow));
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
    running.once("close", (...how) => resolve(how)),
  );
  clearTimeout(timer);
  if (code === 0) return;
  const slow = signal === "SIGKILL" && performance.now() - began >= limitS * 1000;
  const how = slow
    ? `it took more than ${Math.round(limitS)} s`
    : `its process ended (${signal ?? code}): ${said.trim()}`;
  tell(failure(order.section, how));
}
