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
  /** Decodes sequences side by side, each after its own prompt; resolves with what `steps` of all of them took, in ms. */
  together?(prompts: readonly Int32Array[], steps: number): Promise<number>;
  /** A chat's turns: what the first token of a prompt takes, and that of the next turn, which begins with it. */
  turns?(prompt: Int32Array): Promise<{ readonly first: number; readonly second: number }>;
  /** A prompt arrives while others decode: their longest wait between two tokens, and the longest chunk and step. */
  arrival?(
    others: readonly Int32Array[],
    prompt: Int32Array,
  ): Promise<{ readonly gap: number; readonly bound: number }>;
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
  /** Sequences side by side; 1 when absent. */
  readonly sequences?: number;
}

export type PeerCommand =
  | { readonly do: "prefill"; readonly tokens: number }
  | { readonly do: "decode"; readonly context: number; readonly steps: number }
  | { readonly do: "together"; readonly streams: number; readonly context: number; readonly steps: number }
  | { readonly do: "turns"; readonly tokens: number }
  | { readonly do: "arrival"; readonly streams: number; readonly tokens: number }
  | { readonly do: "usage" };

/** Milliseconds of the work, and of what it is compared with where both are measured at once; of `usage` the highest resident memory in bytes and the processor's time in ms. */
export type PeerAnswer =
  | { readonly ms: number; readonly againstMs?: number }
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
  #fresh = 0;

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
      case "together":
        return { ms: await this.together(command.streams, command.context, command.steps) };
      case "turns": {
        const { first, second } = await required(this.peer.turns?.bind(this.peer))(this.fresh(command.tokens));
        return { ms: second, againstMs: first };
      }
      case "arrival": {
        const others = Array.from({ length: command.streams }, () => this.fresh(64));
        const { gap, bound } = await required(this.peer.arrival?.bind(this.peer))(others, this.fresh(command.tokens));
        return { ms: gap, againstMs: bound };
      }
      case "usage":
        return { peakBytes: peakResidentBytes(), cpuMs: cpuMs() };
    }
  }

  private async prefill(tokens: number): Promise<number> {
    this.#prompt = tokens;
    const prompt = this.promptOf(tokens, 13);
    return timed(() => this.peer.prefill(prompt));
  }

  /** Side by side where the peer can, else one after another: each takes as long as the first. */
  private async together(streams: number, context: number, steps: number): Promise<number> {
    if (this.peer.together === undefined) {
      const { ms } = (await this.execute({ do: "decode", context, steps })) as { ms: number };
      return streams * ms;
    }
    const prompts = Array.from({ length: streams }, (_, stream) => this.promptOf(context, 1000 + 17 * stream));
    return this.peer.together(prompts, steps);
  }

  /** A prompt that begins as none before it. */
  private fresh(tokens: number): Int32Array {
    return this.promptOf(tokens, 5000 + 31 * this.#fresh++);
  }

  /** Any ids do for random weights; none above what every vocabulary here has. */
  private promptOf(tokens: number, start: number): Int32Array {
    const most = Math.min(this.settings.vocab - 8, 50_000);
    return Int32Array.from({ length: tokens }, (_, at) => (at * 7919 + start) % most);
  }
}

function required<Method>(method: Method | undefined): Method {
  if (method === undefined) throw new Error("this peer cannot do that");
  return method;
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
