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
    const child = spawn(process.execPath, [MAIN, "serve", "--port", "0", ...(options.flags ?? [])], {
      cwd: PACKAGE_ROOT,
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

  /** The engine's process: the server's only child. */
  get enginePid(): number {
    const children = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && parentOf(name) === this.pid);
    const [only] = children;
    if (only === undefined || children.length > 1) throw new Error(`vitrine has ${children.length} child processes`);
    return Number(only);
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
    if (this.running) this.child.kill("SIGKILL");
  };

  private read(line: string): void {
    this.output.push(line);
    this.address ??= /Listening on (http:\/\/\S+:\d+)/.exec(line)?.[1];
  }
}

/** Parent of a process, from `/proc/PID/stat`: the second field after the command's name in parentheses. */
function parentOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return undefined; // It has gone since it was listed.
  }
}
