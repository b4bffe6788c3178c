/**
 * The runtime against its peers: the same model, the same number of threads, each peer in a process of its own, one
 * measured round at a time in an order that rotates. `--only TEXT` measures the work whose name has TEXT in it, as
 * "decode at 128" or "level 4"; `--quick` leaves long prompts out and measures one round, for work on the benchmark itself.
 */
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { resolveModelDirectory } from "../../src/runtime/files/model-directory.js";
import { measureBandwidth } from "./bandwidth.js";
import { type BenchModel, halfBillion, shipped } from "./model/bench-models.js";
import { PeerProcess, type PeerSpec } from "./peer-process.js";
import type { PeerCommand } from "./peers/peer.js";
import { GENAI, LLAMA, NATIVE, NODE, type PeerName, Peers, TRANSFORMERS } from "./peers/peers.js";
import { type BenchRow, type BenchValue, compare, interleave, median, report } from "./report.js";

const { values: flags } = parseArgs({
  options: { quick: { type: "boolean" }, only: { type: "string" } },
  strict: false,
});
const QUICK = flags.quick === true;
const ONLY = typeof flags.only === "string" ? flags.only : "";

/** One kind of work: a round of it for each peer. */
interface Work {
  readonly name: string;
  readonly command: Extract<PeerCommand, { do: "prefill" | "decode" }>;
  readonly rounds: number;
  /** Tokens of one round, for tokens a second. */
  readonly tokens: number;
  /** What the native runtime has to reach against a peer. */
  readonly targets: Partial<Record<PeerName, number>>;
}

const decode = (context: number, steps: number, rounds: number, targets: Work["targets"] = {}): Work => {
  return { name: `decode at ${context}`, command: { do: "decode", context, steps }, rounds, tokens: steps, targets };
};
const prefill = (tokens: number, rounds: number, targets: Work["targets"] = {}): Work => {
  return { name: `prefill ${tokens}`, command: { do: "prefill", tokens }, rounds, tokens, targets };
};

/** Prefill comes last: a decode's context is fed once and kept. */
const PLAIN: readonly Work[] = [
  decode(128, 16, 10, { [TRANSFORMERS]: 2.5, [LLAMA]: 1.1 }),
  decode(1500, 16, 8, { [TRANSFORMERS]: 3, [LLAMA]: 1 }),
  prefill(512, 3, { [TRANSFORMERS]: 1.5, [LLAMA]: 1 }),
  prefill(1500, 2, { [TRANSFORMERS]: 1.5, [LLAMA]: 1 }),
];
const LEVEL_4: readonly Work[] = [
  decode(128, 16, 10, { [TRANSFORMERS]: 1.35 }),
  decode(1500, 16, 8, { [TRANSFORMERS]: 2.3 }),
];
const TINY: readonly Work[] = [decode(128, 64, 10), decode(1500, 32, 10), prefill(512, 10)];

const EVERYONE: readonly PeerName[] = [NATIVE, NODE, TRANSFORMERS, LLAMA, GENAI];
const CONTEXT = 2048;
const LONG_PROMPT = 1500;
/** Threads of libraries go on spinning for a while after a run; they stop before the next peer's turn. */
const REST_MS = 150;

class RuntimeBenchmark {
  readonly rows: BenchRow[] = [];
  readonly values: BenchValue[] = [];

  constructor(
    private readonly peers: Peers,
    private readonly bandwidth: number,
  ) {
    this.values.push({ name: "memory, streaming read", value: bandwidth / 1e9, unit: "GB/s" });
  }

  async compareWork(
    title: string,
    model: BenchModel,
    names: readonly PeerName[],
    work: readonly Work[],
  ): Promise<void> {
    const measured = work.filter((one) => isMeasured(title, one));
    if (measured.length === 0) return;
    const processes = await startAll(this.peers.specsOf(model, names, CONTEXT));
    try {
      for (const one of measured) await this.#compareOne(`${title}, ${one.name}`, model, processes, one);
    } finally {
      await Promise.all(processes.map((process) => process.stop()));
    }
  }

  async #compareOne(title: string, model: BenchModel, processes: readonly PeerProcess[], work: Work): Promise<void> {
    process.stderr.write(`${title}\n`);
    const variants = processes.map((process) => ({
      name: process.name,
      round: async () => {
        await sleep(REST_MS);
        return process.measure(work.command);
      },
    }));
    const costs = await interleave(variants, QUICK ? 1 : work.rounds);
    for (const [name, own] of costs) {
      this.values.push({ name: `${title}, ${name}`, value: (work.tokens * 1000) / median(own), unit: "tokens/s" });
    }
    this.#addRows(title, costs, work.targets);
    if (work.command.do === "decode") this.#addBound(title, model, work.command, costs.get(NATIVE) ?? []);
  }

  /** The native runtime against every other; the plain runner against transformers.js. */
  #addRows(title: string, costs: ReadonlyMap<string, readonly number[]>, targets: Work["targets"] = {}): void {
    for (const [against, peer] of costs) {
      if (against === NATIVE) continue;
      const target = targets[against as PeerName];
      const ratio = compare(costs.get(NATIVE) ?? [], peer);
      this.rows.push({ name: `${title}, ${NATIVE}`, against, ...ratio, ...(target === undefined ? {} : { target }) });
    }
    const [node, transformers] = [costs.get(NODE), costs.get(TRANSFORMERS)];
    if (node === undefined || transformers === undefined) return;
    this.rows.push({ name: `${title}, ${NODE}`, against: TRANSFORMERS, ...compare(node, transformers) });
  }

  /** What the memory alone would take for the weights and the cache that a step reads. Weights that fit a cache have no such bound. */
  #addBound(
    title: string,
    model: BenchModel,
    work: { context: number; steps: number },
    costs: readonly number[],
  ): void {
    if (model.bytesPerToken < 100e6) return;
    const { layers, kvHeads, headDim } = model.shape;
    const cacheBytes = 2 * layers * kvHeads * headDim * 4 * work.context;
    const bound = ((model.bytesPerToken + cacheBytes) / this.bandwidth) * 1000 * work.steps;
    const row = compare(
      costs,
      costs.map(() => bound),
    );
    this.rows.push({ name: `${title}, ${NATIVE}`, against: "memory bandwidth", ...row, target: 0.8 });
  }

  /** From a process's start to its first token. */
  async compareStarts(model: BenchModel, names: readonly PeerName[]): Promise<void> {
    const title = `${model.name} q4, start to first token`;
    if (!title.includes(ONLY)) return;
    process.stderr.write(`${title}\n`);
    const specs = this.peers.specsOf(model, names, CONTEXT);
    const variants = specs.map((spec) => ({ name: spec.name, round: () => startToFirstToken(spec) }));
    const alone = this.peers.sessionAlone(model);
    const costs = await interleave([...variants, { name: alone.name, round: () => answerOf(alone) }], QUICK ? 1 : 4);
    for (const [name, own] of costs) this.values.push({ name: `${title}, ${name}`, value: median(own), unit: "ms" });
    this.#addRows(title, costs);
    const last = this.rows.findIndex((row) => row.against === alone.name);
    this.rows[last] = { ...(this.rows[last] as BenchRow), target: 1 / 1.15 };
  }

  /** The memory of a long prompt in a process that did nothing else. */
  async compareMemory(model: BenchModel, names: readonly PeerName[]): Promise<void> {
    const title = `${model.name} q4, peak memory at ${LONG_PROMPT}`;
    if (QUICK || !title.includes(ONLY)) return;
    const specs = this.peers.specsOf(model, names, CONTEXT);
    process.stderr.write(`${title}\n`);
    const costs = new Map<string, number[]>();
    for (const spec of specs) costs.set(spec.name, [await peakMemory(spec)]);
    for (const [name, [bytes]] of costs) {
      this.values.push({ name: `${title}, ${name}`, value: (bytes ?? 0) / 2 ** 20, unit: "MiB" });
    }
    this.#addRows(title, costs, { [TRANSFORMERS]: 1 / 0.6 });
  }
}

function isMeasured(title: string, { name, command }: Work): boolean {
  if (!`${title}, ${name}`.includes(ONLY)) return false;
  return !QUICK || (command.do === "decode" ? command.context : command.tokens) < LONG_PROMPT;
}

/** Those that can run the model, loaded. */
async function startAll(specs: readonly PeerSpec[]): Promise<PeerProcess[]> {
  const processes: PeerProcess[] = [];
  for (const spec of specs) {
    const peer = new PeerProcess(spec);
    try {
      await peer.measure({ do: "prefill", tokens: 8 });
      processes.push(peer);
    } catch (error) {
      console.log(`No rows against ${spec.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return processes;
}

async function startToFirstToken(spec: PeerSpec): Promise<number> {
  await sleep(REST_MS);
  const start = performance.now();
  const peer = new PeerProcess(spec);
  await peer.measure({ do: "prefill", tokens: 8 });
  const elapsed = performance.now() - start;
  await peer.stop();
  return elapsed;
}

async function answerOf(spec: PeerSpec): Promise<number> {
  await sleep(REST_MS);
  const peer = new PeerProcess(spec);
  const answer = await peer.answer();
  await peer.stop();
  return "ms" in answer ? answer.ms : Number.NaN;
}

async function peakMemory(spec: PeerSpec): Promise<number> {
  const peer = new PeerProcess(spec);
  await peer.measure({ do: "prefill", tokens: LONG_PROMPT });
  const { peakBytes } = await peer.usage();
  await peer.stop();
  return peakBytes;
}

const cache = join(tmpdir(), "vitrine-bench");
const threads = availableParallelism();
const peers = Peers.install(cache, threads);
const large = await halfBillion(cache);
const tiny = await shipped(cache, resolveModelDirectory("tiny"));
const load = loadavg()[0] ?? 0;
if (load > 0.5)
  console.log(`The machine is busy (load average ${load.toFixed(1)}): these numbers are not to be quoted.`);

const benchmark = new RuntimeBenchmark(peers, await measureBandwidth(threads));
await benchmark.compareStarts(large.plain, EVERYONE);
await benchmark.compareMemory(large.plain, EVERYONE);
await benchmark.compareWork("0.5B q4", large.plain, EVERYONE, PLAIN);
await benchmark.compareWork("0.5B q4 of level 4", large.level4, [NATIVE, NODE, TRANSFORMERS, GENAI], LEVEL_4);
await benchmark.compareWork("tiny q4", tiny, EVERYONE, TINY);
report(`npm run bench:runtime${ONLY === "" ? "" : ` -- --only "${ONLY}"`}`, benchmark.rows, benchmark.values);
