/** `vitrine run -- node app.js`: the program as it is, traced. */
import { type ChildProcess, spawn } from "node:child_process";
import { loadSome } from "../config.js";
import { destinationsOf } from "../destinations.js";
import { PROGRAM_OPTIONS } from "../instrumentation/program/settings.js";
import { OPTIONS, type OptionName } from "../options.js";
import { exitStatus } from "./stop-signals.js";

const REGISTER = new URL("../instrumentation/register.js", import.meta.url).href;

/**
 * The environment of the program and of all that it starts: `flags` as the variables that mean the same, and NODE_OPTIONS with
 * the module that reads them. Throws VitrineError `config_invalid` for what that module would not understand.
 */
export function programEnvironment(
  flags: Readonly<Partial<Record<OptionName, string>>>,
  env: NodeJS.ProcessEnv,
): NodeJS.ProcessEnv {
  const given = Object.entries(flags).map(([name, value]) => [OPTIONS[name as OptionName].env[0], value]);
  const found = { ...env, ...Object.fromEntries(given) };
  // An address on the command line is meant, whatever the environment says; and who runs this wants traces.
  const named = flags.zipkinEndpoint !== undefined || flags.otlpEndpoint !== undefined;
  if (flags.zipkinEndpoint !== undefined) found.ENABLE_ZIPKIN_TRACING = "true";
  const config = loadSome([...PROGRAM_OPTIONS], flags, found);
  const configured = destinationsOf({ ...config, traceSpool: undefined, traceSpoolSize: 0 }).length > 0;
  if (!named && !configured) found.ENABLE_ZIPKIN_TRACING ||= "true";
  found.NODE_OPTIONS = `${env.NODE_OPTIONS ?? ""} --import ${REGISTER}`.trim();
  return found;
}

/** What a terminal sends to everything that runs in it: the program has got it already. */
const FROM_TERMINAL: ReadonlySet<NodeJS.Signals> = new Set(["SIGINT", "SIGQUIT", "SIGHUP"]);
const PASSED_ON: readonly NodeJS.Signals[] = ["SIGTERM", "SIGUSR1", "SIGUSR2", "SIGINT", "SIGQUIT", "SIGHUP"];

/** Runs the command and ends as it ended: with its status, or by the signal that ended it. */
export async function run(command: readonly string[], env: NodeJS.ProcessEnv): Promise<never> {
  const [file = "", ...args] = command;
  let child: ChildProcess | undefined;
  // Before there is a child: a signal in between would leave it behind.
  const forget = onSignal((signal) => void child?.kill(signal));
  const { status, signal } = await ended(file, () => {
    child = spawn(file, args, { stdio: "inherit", env });
    return child;
  });
  forget();
  if (signal !== null) process.kill(process.pid, signal);
  // Not reached where the signal ends this process, too; else as a shell would say it.
  process.exit(signal === null ? status : exitStatus(signal));
}

function onSignal(pass: (signal: NodeJS.Signals) => void): () => void {
  const listeners = PASSED_ON.map((signal) => {
    const listener = (): void => {
      if (!(FROM_TERMINAL.has(signal) && process.stdin.isTTY)) pass(signal);
    };
    process.on(signal, listener);
    return () => void process.off(signal, listener);
  });
  return () => {
    for (const forget of listeners) forget();
  };
}

interface End {
  readonly status: number;
  readonly signal: NodeJS.Signals | null;
}

const NOT_STARTED: Readonly<Record<string, string>> = {
  ENOENT: "there is no such command",
  ENOTDIR: "there is no such command",
  EACCES: "it is no program that this user may run; chmod +x makes a script one",
  ENOEXEC: "it is no program for this machine; a script begins with #! and the program that reads it",
  E2BIG: "its arguments and environment are too long",
};

function ended(file: string, start: () => ChildProcess): Promise<End> {
  return new Promise((resolve) => {
    const failed = ({ code = "", message }: NodeJS.ErrnoException): void => {
      console.error(`vitrine: run ${file}: ${NOT_STARTED[code] ?? message}.`);
      // As shells have it: not found, or found and not to be started.
      resolve({ status: code === "ENOENT" || code === "ENOTDIR" ? 127 : 126, signal: null });
    };
    try {
      const child = start();
      child.once("exit", (code, signal) => resolve({ status: code ?? 1, signal }));
      child.once("error", failed);
    } catch (error) {
      // What Node does not expect of the system is thrown, and not told later.
      failed(error as NodeJS.ErrnoException);
    }
  });
}
