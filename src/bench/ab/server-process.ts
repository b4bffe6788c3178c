/** A `vitrine serve` that the benchmark starts for itself. It ends with the benchmark: when the channel between them closes, however that came. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { VitrineError } from "../../errors.js";

const START_MS = 120_000;
const STOP_MS = 10_000;
/** Of what it wrote, for the message of a failed start. */
const LAST_LINES = 10;

export interface ServerCommand {
  /** `vitrine serve` as a module that ends when its channel to the parent closes. */
  readonly entry: string;
  readonly flags: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

export class ServerProcess {
  #address: string | undefined;
  readonly #lines: string[] = [];
  readonly #exited: Promise<void>;
  readonly #killNow = (): void => void this.child.kill("SIGKILL");

  private constructor(private readonly child: ChildProcess) {
    this.#exited = new Promise((resolve) => {
      child.once("error", () => resolve());
      child.once("close", () => resolve());
    });
    process.once("exit", this.#killNow);
  }

  /** Resolves once it listens. Throws VitrineError `engine_not_ready` with its last lines where it does not come to that, and the signal's reason. */
  static async start({ entry, flags, env }: ServerCommand, signal: AbortSignal): Promise<ServerProcess> {
    const args = [entry, "serve", "--host", "127.0.0.1", "--port", "0", ...flags];
    const server = new ServerProcess(spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "pipe", "ipc"] }));
    try {
      await server.#listening(signal);
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** `http://127.0.0.1:PORT`. */
  get address(): string {
    return this.#address ?? "";
  }

  async stop(): Promise<void> {
    this.child.kill("SIGTERM");
    const hurry = setTimeout(this.#killNow, STOP_MS);
    await this.#exited;
    clearTimeout(hurry);
    process.removeListener("exit", this.#killNow);
  }

  async #listening(signal: AbortSignal): Promise<void> {
    const { child } = this;
    const timeout = AbortSignal.timeout(START_MS);
    await new Promise<void>((resolve) => {
      for (const stream of [child.stdout, child.stderr]) {
        if (stream === null) continue;
        createInterface({ input: stream }).on("line", (line) => {
          this.#lines.push(line);
          if (this.#lines.length > LAST_LINES) this.#lines.shift();
          this.#address ??= /^Listening on (http:\/\/\S+:\d+)$/.exec(line)?.[1];
          if (this.#address !== undefined) resolve();
        });
      }
      void this.#exited.then(resolve);
      timeout.addEventListener("abort", () => resolve());
      signal.addEventListener("abort", () => resolve());
    });
    signal.throwIfAborted();
    if (this.#address !== undefined) return;
    throw new VitrineError(
      "engine_not_ready",
      `vitrine serve did not start; its last lines:\n${this.#lines.join("\n")}`,
    );
  }
}
