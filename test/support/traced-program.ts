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
  return outcome(launch(args, options), options.signal);
}

function launch(args: readonly string[], { flags = ["--import", REGISTER], env = {} }: ProgramOptions): ChildProcess {
  return spawn(process.execPath, [...flags, ...args], {
    cwd: PACKAGE_ROOT,
    env: { ...bareEnvironment(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
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

/** A program that serves until it is stopped; it writes its address first. */
export class RunningProgram {
  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
    private readonly ended: Promise<CommandResult>,
  ) {}

  static async start(args: readonly string[], options: ProgramOptions = {}): Promise<RunningProgram> {
    const child = launch(args, options);
    const ended = outcome(child, undefined);
    const url = new Promise<string>((resolve) => {
      child.stdout?.on("data", (text: string) => {
        const [found] = /http:\/\/\S+/.exec(text) ?? [];
        if (found !== undefined) resolve(found);
      });
    });
    const failed = ended.then(({ stderr }) => Promise.reject(new Error(`the program ended: ${stderr}`)));
    return new RunningProgram(child, await Promise.race([url, failed]), ended);
  }

  /** As an orchestrator does it. */
  async stop(): Promise<CommandResult> {
    this.child.kill("SIGTERM");
    return this.ended;
  }
}
