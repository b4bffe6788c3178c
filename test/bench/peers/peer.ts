/**
 * What a peer's process does: it loads one model, then answers one command a line (stdin, answers on descriptor 3),
 * idle in between. It times itself, so that the way of a command is not counted.
 */
import { readFileSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";

/** A model held in memory with one sequence. */
export interface Peer {
  /** Starts afresh, feeds a prompt and picks the first token. */
  prefill(prompt: Int32Array): Promise<void>;
  /** Goes back to the first `context` tokens of what the last prefill fed; their cache stays. */
  rewind(context: number): Promise<void>;
  /** Greedy steps of one token each. */
  decode(steps: number): Promise<void>;
}

export interface PeerSettings {
  /** Directory, or file, as the peer takes it. */
  readonly model: string;
  readonly threads: number;
  readonly vocab: number;
  /** Most tokens of the sequence. */
  readonly context: number;
  /** What only one kind of peer reads: the runtime, or the folder of packages. */
  readonly option?: string;
}

export type PeerCommand =
  | { readonly do: "prefill"; readonly tokens: number }
  | { readonly do: "decode"; readonly context: number; readonly steps: number }
  | { readonly do: "usage" };

/** Milliseconds of the work; of `usage` the highest resident memory in bytes and the processor's time in ms. */
export type PeerAnswer =
  | { readonly ms: number }
  | { readonly peakBytes: number; readonly cpuMs: number }
  | { readonly error: string };

const ANSWERS = 3;

export async function servePeer(load: (settings: PeerSettings) => Promise<Peer>): Promise<void> {
  const answer = (message: PeerAnswer) => writeSync(ANSWERS, `${JSON.stringify(message)}\n`);
  try {
    const settings = JSON.parse(process.argv[2] ?? "") as PeerSettings;
    const worker = new PeerWorker(await load(settings), settings);
    for await (const line of createInterface({ input: process.stdin })) {
      answer(await worker.execute(JSON.parse(line) as PeerCommand));
    }
  } catch (error) {
    answer({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
  // Native libraries' threads would keep some of the peers alive.
  process.exit();
}

class PeerWorker {
  #prompt = 0;

  constructor(
    private readonly peer: Peer,
    private readonly settings: PeerSettings,
  ) {}

  async execute(command: PeerCommand): Promise<PeerAnswer> {
    switch (command.do) {
      case "prefill":
        return { ms: await this.prefill(command.tokens) };
      case "decode":
        if (this.#prompt !== command.context) await this.prefill(command.context);
        await this.peer.rewind(command.context);
        return { ms: await timed(() => this.peer.decode(command.steps)) };
      case "usage":
        return { peakBytes: peakResidentBytes(), cpuMs: cpuMs() };
    }
  }

  private async prefill(tokens: number): Promise<number> {
    const { vocab } = this.settings;
    // Any ids do for random weights; none above what every vocabulary here has.
    const prompt = Int32Array.from({ length: tokens }, (_, at) => (at * 7919 + 13) % Math.min(vocab - 8, 50_000));
    this.#prompt = tokens;
    return timed(() => this.peer.prefill(prompt));
  }
}

async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** VmHWM of Linux: what has ever been resident at once, mapped files included. */
function peakResidentBytes(): number {
  const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"));
  return Number(line?.[1] ?? Number.NaN) * 1024;
}

/** The likeliest token of a row of logits. */
export function argMax(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if ((logits[id] as number) > (logits[best] as number)) best = id;
  return best;
}
