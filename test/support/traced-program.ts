/** Programs of test/programs, run as their users would: with and without `--import vitrine/register`. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type CommandResult, PACKAGE_ROOT } from "./vitrine-process.js";

export const REGISTER = fileURLToPath(new URL("../../src/instrumentation/register.js", import.meta.url));
export const program = (name: string): string => `${PACKAGE_ROOT}test/programs/${name}`;

export interface ProgramOptions {
  /** Of Node, before the program. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Sent when the program says `ready`. */
  readonly signal?: NodeJS.Signals;
}

/** Nothing of what tests are run with: neither what mocha sets nor a tracing of their own. */
function bareEnvironment(): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env;
  return { PATH, HOME, ORT_DISABLE_TELEMETRY: "1" };
}

/** Runs Node with `args` to its end, below `--import vitrine/register` unless the flags say otherwise. */
export function runProgram(args: readonly string[], options: ProgramOptions = {}): Promise<CommandResult> {
  const { flags = ["--import", REGISTER], env = {}, signal } = options;
  const child = spawn(process.execPath, [...flags, ...args], {
    cwd: PACKAGE_ROOT,
    env: { ...bareEnvironment(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  return outcome(child, signal);
}

function outcome(child: ChildProcess, signal: NodeJS.Signals | undefined): Promise<CommandResult> {
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    if (signal !== undefined && text.includes("ready")) child.kill(signal);
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, ended) => resolve({ code, signal: ended, stdout, stderr }));
  });
}
