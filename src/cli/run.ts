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
  const child = spawn(file, args, { stdio: "inherit", env });
  const forget = passSignals(child);
  const { status, signal } = await ended(child, file);
  forget();
  if (signal !== null) process.kill(process.pid, signal);
  // Not reached where the signal ends this process, too; else as a shell would say it.
  process.exit(signal === null ? status : exitStatus(signal));
}

function passSignals(child: ChildProcess): () => void {
  const listeners = PASSED_ON.map((signal) => {
    const listener = (): void => {
      if (!(FROM_TERMINAL.has(signal) && process.stdin.isTTY)) child.kill(signal);
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

function ended(child: ChildProcess, file: string): Promise<End> {
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => resolve({ status: code ?? 1, signal }));
    child.once("error", ({ code, message }: NodeJS.ErrnoException) => {
      const missing = code === "ENOENT";
      console.error(`vitrine: run ${file}: ${missing ? "there is no such command" : message}.`);
      // As shells have it: not found, or found and not to be started.
      resolve({ status: missing ? 127 : 126, signal: null });
    });
  });
}
