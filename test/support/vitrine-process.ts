/** The built command as a user starts it: a child process of its own, spoken to over HTTP only. */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** The package's root: this file is compiled to `dist/test/support/`. */
export const PACKAGE_ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const START_TIMEOUT_MS = 60_000;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface VitrineOptions {
  /** As `npm start` does it: npm, a shell and the server in a process group of their own, as a terminal has it. */
  readonly npm?: boolean;
  /** Flags after `serve --port 0`. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface CommandResult extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command to its end. */
export async function runVitrine(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: PACKAGE_ROOT,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** A running `vitrine serve`. */
export class VitrineProcess {
  /** Everything it wrote so far, a line each, both streams. */
  readonly output: string[] = [];
  /** Resolves when the process has gone. */
  readonly exited: Promise<Exit>;
  private address: string | undefined;

  private constructor(private readonly child: ChildProcess) {
    this.exited = new Promise((resolve) => child.once("close", (code, signal) => resolve({ code, signal })));
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on("line", (line) => this.read(line));
    }
  }

  /** Resolves once `/ready` answers 200; throws with the process's output when it does not come to that. */
  static async start(options: VitrineOptions = {}): Promise<VitrineProcess> {
    const flags = ["--port", "0", ...(options.flags ?? [])];
    // The build that comes before `npm start` would take away the files that are under test.
    const [command, args] = options.npm
      ? ["npm", ["start", "--ignore-scripts", "--", ...flags]]
      : [process.execPath, [MAIN, "serve", ...flags]];
    const child = spawn(command, args, {
      cwd: PACKAGE_ROOT,
      detached: options.npm === true,
      env: { ...process.env, LOG_LEVEL: "info", ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const vitrine = new VitrineProcess(child);
    process.once("exit", vitrine.killNow);
    try {
      await vitrine.until("it listens", () => vitrine.address !== undefined, START_TIMEOUT_MS);
      await vitrine.untilReady();
      return vitrine;
    } catch (error) {
      await vitrine.kill();
      throw error;
    }
  }

  /** `http://127.0.0.1:PORT`, without a path. */
  get url(): string {
    if (this.address === undefined) throw new Error("vitrine does not listen yet");
    return this.address;
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error("vitrine could not be started");
    return this.child.pid;
  }

  /** The engines' processes: the server's only children, oldest first. */
  get enginePids(): readonly number[] {
    return processIds()
      .filter((pid) => statOf(pid)?.parent === this.pid)
      .map(Number)
      .sort((a, b) => a - b);
  }

  /** The process of its only engine. */
  get enginePid(): number {
    const [only, ...others] = this.enginePids;
    if (only === undefined || others.length > 0) throw new Error(`vitrine has ${others.length + 1} child processes`);
    return only;
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  async untilReady(): Promise<void> {
    const ready = async () => (await fetch(`${this.url}/ready`).catch(() => undefined))?.status === 200;
    await this.until("/ready answers 200", ready, START_TIMEOUT_MS);
  }

  /** Waits for what the running server is to do; throws when the time is up or the process ends. */
  async until(what: string, condition: () => boolean | Promise<boolean>, timeoutMs = 20_000): Promise<void> {
    for (const deadline = Date.now() + timeoutMs; ; ) {
      if (await condition()) return;
      if (!this.running) throw new Error(`vitrine ended before ${what}:\n${this.output.join("\n")}`);
      if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms until ${what}:\n${this.output.join("\n")}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  /** Closes the pipes it writes to, as `| head -1` does. */
  closeOutput(): void {
    this.child.stdout?.destroy();
    this.child.stderr?.destroy();
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** What Ctrl-C in a terminal does: everybody in the group hears it. */
  interruptGroup(): void {
    process.kill(-this.pid, "SIGINT");
  }

  /** Commands of the processes in its group that still run. */
  get group(): readonly string[] {
    return processIds()
      .map((pid) => statOf(pid))
      .filter((stat) => stat?.group === this.pid && stat.state !== "Z")
      .map((stat) => stat?.command ?? "");
  }

  /** Drains and ends it, as an orchestrator does. */
  async stop(): Promise<Exit> {
    if (this.running) this.signal("SIGTERM");
    const exit = await this.exited;
    process.removeListener("exit", this.killNow);
    return exit;
  }

  async kill(): Promise<Exit> {
    this.killNow();
    process.removeListener("exit", this.killNow);
    return this.exited;
  }

  private readonly killNow = (): void => {
    if (!this.running) return;
    if (this.child.spawnfile === "npm") process.kill(-this.pid, "SIGKILL");
    else this.child.kill("SIGKILL");
  };

  private read(line: string): void {
    this.output.push(line);
    this.address ??= /Listening on (http:\/\/\S+:\d+)/.exec(line)?.[1];
  }
}

const processIds = (): string[] => readdirSync("/proc").filter((name) => /^\d+$/.test(name));

interface ProcessStat {
  readonly command: string;
  readonly state: string;
  readonly parent: number;
  readonly group: number;
}

/** From `/proc/PID/stat`: the command's name in parentheses, then state, parent and group. */
function statOf(pid: string): ProcessStat | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const nameEnd = stat.lastIndexOf(")");
    const [state = "", parent, group] = stat.slice(nameEnd + 2).split(" ");
    return { command: stat.slice(stat.indexOf("(") + 1, nameEnd), state, parent: Number(parent), group: Number(group) };
  } catch {
    return undefined; // It has gone since it was listed.
  }
}
