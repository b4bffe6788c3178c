/** Where a result came from: the command, the machine, the commit. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import type { Machine } from "../bench/result.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

export function thisMachine(): Machine {
  const all = cpus();
  return {
    cpu: all[0]?.model ?? "unknown",
    cores: all.length,
    memoryBytes: totalmem(),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
  };
}

/** Of a checkout; an installed package has none. */
export function commitOf(): string | undefined {
  if (!existsSync(`${ROOT}.git`)) return undefined;
  try {
    const command = ["rev-parse", "--short", "HEAD"];
    return execFileSync("git", command, { cwd: ROOT, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return undefined;
  }
}

/** As it was typed, for a shell to read, without keys and passwords. */
export function commandLine(args: readonly string[]): string {
  const shown = args.map((arg, index) => {
    if (args[index - 1] === "--api-key") return "…";
    return arg.replace(/^(--api-key=).*/, "$1…").replace(/\/\/[^/@\s]*@/g, "//");
  });
  return ["vitrine", ...shown.map(quoted)].join(" ");
}

const quoted = (arg: string): string => (/^[\w./:,=@%+…-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`);
