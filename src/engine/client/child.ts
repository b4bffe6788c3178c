import { fork } from "node:child_process";
import type { EngineCommand, EngineEvent } from "../../protocol.js";

/** How a process ended; both null when it could not even be started. */
export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ChildListener {
  onEvents(events: readonly EngineEvent[]): void;
  /** A line of the child's standard error. */
  onLog(line: string): void;
  /** The process is gone and every message and line of it has been heard. Comes once. */
  onExit(exit: ChildExit): void;
}

/** One engine process. */
export interface EngineChild {
  /** Commands to a process that is going or gone are dropped: its exit ends what they were about. */
  send(command: EngineCommand): void;
  kill(): void;
}

export type SpawnEngine = (listener: ChildListener) => EngineChild;

/** Starts engine processes of this entry file; `env` is added to this process's own environment. */
export function engineForker(entry: URL | string, env: NodeJS.ProcessEnv): SpawnEngine {
  return (listener) => {
    try {
      return forkEngine(entry, env, listener);
    } catch (error) {
      // The system is out of processes, memory or file descriptors: as if the child had died at once.
      listener.onLog(`The engine process could not be started: ${String(error)}`);
      setImmediate(() => listener.onExit({ code: null, signal: null }));
      return { send: () => {}, kill: () => {} };
    }
  };
}

function forkEngine(entry: URL | string, env: NodeJS.ProcessEnv, listener: ChildListener): EngineChild {
  const child = fork(entry, {
    serialization: "advanced",
    stdio: ["ignore", "inherit", "pipe", "ipc"],
    // onnxruntime-node reads this once, when it loads.
    env: { ...process.env, ...env, ORT_DISABLE_TELEMETRY: "1" },
  });
  const kill = (): void => void child.kill("SIGKILL");
  // Within a native call the child would not notice that it has become an orphan.
  process.once("exit", kill);
  let gone = false;
  const exit = (how: ChildExit): void => {
    process.off("exit", kill);
    if (!gone) listener.onExit(how);
    gone = true;
  };
  child.on("message", (events) => listener.onEvents(events as unknown as readonly EngineEvent[]));
  splitLines(child.stderr, listener.onLog);
  child.on("error", (error) => {
    listener.onLog(`The engine process: ${error.message}`);
    if (child.pid === undefined) exit({ code: null, signal: null });
  });
  // Unlike `exit`, `close` comes after the last message and the last line.
  child.on("close", (code, signal) => exit({ code, signal }));
  return {
    send: (command) => void child.send(command, () => {}),
    kill,
  };
}

function splitLines(stream: NodeJS.ReadableStream | null, onLine: (line: string) => void): void {
  let rest = "";
  stream?.setEncoding("utf8");
  stream?.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") onLine(line);
  });
  stream?.on("end", () => {
    if (rest !== "") onLine(rest);
  });
}
