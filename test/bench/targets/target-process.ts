import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

export interface TargetCommand {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Where it will listen, if it does not say `Listening on …`. */
  readonly address?: string;
}

const START_MS = 120_000;

/** A server in a process of its own, idle between its rounds. */
export class TargetProcess {
  readonly name: string;
  #address: string | undefined;

  private constructor(
    private readonly child: ChildProcess,
    { name, address }: TargetCommand,
  ) {
    this.name = name;
    this.#address = address;
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).on("line", (line) => {
      this.#address ??= /Listening on (http:\/\/\S+:\d+)/.exec(line)?.[1];
    });
  }

  /** Resolves once it lists its model. */
  static async start(command: TargetCommand): Promise<TargetProcess> {
    const env = { ...process.env, ORT_DISABLE_TELEMETRY: "1", LOG_LEVEL: "error", ...command.env };
    const child = spawn(command.command, command.args, { env, stdio: ["ignore", "pipe", "ignore"] });
    const target = new TargetProcess(child, command);
    process.once("exit", () => child.kill("SIGKILL"));
    for (const deadline = Date.now() + START_MS; !(await target.#ready()); await sleep(100)) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`${command.name} did not start`);
    }
    return target;
  }

  get address(): string {
    return this.#address ?? "";
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const exit = once(this.child, "exit");
    this.child.kill("SIGTERM");
    await exit;
  }

  async #ready(): Promise<boolean> {
    if (this.#address === undefined) return false;
    return fetch(`${this.#address}/v1/models`).then(
      ({ ok }) => ok,
      () => false,
    );
  }
}
