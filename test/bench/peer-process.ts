import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import type { Readable } from "node:stream";
import type { PeerAnswer, PeerCommand } from "./peers/peer.js";

export interface PeerSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
}

/** A peer in a process of its own, kept alive and idle between its rounds. */
export class PeerProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  constructor({ name, command, args }: PeerSpec) {
    this.name = name;
    this.#child = spawn(command, args, {
      stdio: ["pipe", "ignore", "inherit", "pipe"],
      env: { ...process.env, ORT_DISABLE_TELEMETRY: "1" },
    });
    const lines: Interface = createInterface({ input: this.#child.stdio[3] as Readable });
    this.#answers = lines[Symbol.asyncIterator]();
  }

  /** Milliseconds of a round. */
  async measure(command: Exclude<PeerCommand, { do: "usage" }>): Promise<number> {
    return (await this.measureBoth(command)).ms;
  }

  /** Milliseconds of a round, and of what it is to be compared with. */
  async measureBoth(command: Exclude<PeerCommand, { do: "usage" }>): Promise<{ ms: number; againstMs?: number }> {
    const answer = await this.ask(command);
    if (!("ms" in answer)) throw new Error(`${this.name} gave no time`);
    return answer;
  }

  async usage(): Promise<{ peakBytes: number; cpuMs: number }> {
    const answer = await this.ask({ do: "usage" });
    if (!("peakBytes" in answer)) throw new Error(`${this.name} gave no usage`);
    return answer;
  }

  /** The first answer of a process that takes no commands. */
  async answer(): Promise<PeerAnswer> {
    const { value, done } = await this.#answers.next();
    if (done) throw new Error(`${this.name} ended without an answer`);
    const answer = JSON.parse(value) as PeerAnswer;
    if ("error" in answer) throw new Error(`${this.name}: ${answer.error}`);
    return answer;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, "exit");
    this.#child.stdin?.end();
    await exit;
  }

  private ask(command: PeerCommand): Promise<PeerAnswer> {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
    return this.answer();
  }
}
