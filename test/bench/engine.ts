/**
 * The engine against its peers, and what it costs by itself. Each peer is a process of its own, one measured round at a
 * time in an order that rotates. `--only TEXT` measures the rows whose name has it.
 */
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { resolveModelDirectory } from "../../src/runtime/files/model-directory.js";
import { type BenchModel, halfBillion, shipped } from "./model/bench-models.js";
import { crowd, overhead } from "./overhead.js";
import { PeerProcess } from "./peer-process.js";
import type { PeerCommand } from "./peers/peer.js";
import { ENGINE, LLAMA, type PeerName, Peers, TRANSFORMERS } from "./peers/peers.js";
import { planCosts } from "./plan-costs.js";
import { type BenchRow, type BenchValue, compare, interleave, median, report } from "./report.js";

const { values: flags } = parseArgs({ options: { only: { type: "string" } }, strict: false });
const ONLY = typeof flags.only === "string" ? flags.only : "";
const SEQUENCES = 16;
const CONTEXT = 64;
const STEPS = 16;
const LONG_PROMPT = 1500;
/** Threads of libraries go on spinning for a while after a run; they stop before the next peer's turn. */
const REST_MS = 150;

const rows: BenchRow[] = [];
const values: BenchValue[] = [];
const wanted = (name: string): boolean => name.includes(ONLY);

/** Streams side by side, in tokens a second, against transformers.js one after another and llama.cpp side by side. */
async function compareTogether(
  title: string,
  model: BenchModel,
  streams: number,
  targets: Partial<Record<PeerName, number>>,
): Promise<void> {
  const name = `${title}, ${streams} streams together`;
  if (!wanted(name)) return;
  process.stderr.write(`${name}\n`);
  const names = Object.keys(targets) as PeerName[];
  const processes = peers.specsOf(model, [ENGINE, ...names], 1024, SEQUENCES).map((spec) => new PeerProcess(spec));
  try {
    const command: PeerCommand = { do: "together", streams, context: CONTEXT, steps: STEPS };
    const variants = processes.map((peer) => ({ name: peer.name, round: () => rested(() => peer.measure(command)) }));
    const costs = await interleave(variants, 5);
    for (const [peer, own] of costs) {
      values.push({ name: `${name}, ${peer}`, value: (streams * STEPS * 1000) / median(own), unit: "tokens/s" });
    }
    for (const against of processes.slice(1).map((peer) => peer.name as PeerName)) {
      const ratio = compare(costs.get(ENGINE) ?? [], costs.get(against) ?? []);
      const target = targets[against];
      rows.push({ name, against, ...ratio, ...(target === undefined ? {} : { target }) });
    }
  } finally {
    await Promise.all(processes.map((peer) => peer.stop()));
  }
}

/** What one process measures against itself in the same round. */
async function compareOwn(
  name: string,
  against: string,
  model: BenchModel,
  command: Extract<PeerCommand, { do: "turns" | "arrival" }>,
  target: number,
): Promise<void> {
  if (!wanted(name)) return;
  process.stderr.write(`${name}\n`);
  for (const spec of peers.specsOf(model, [ENGINE], 2048, SEQUENCES)) {
    const peer = new PeerProcess(spec);
    const [own, other]: [number[], number[]] = [[], []];
    for (let round = 0; round < 5; round++) {
      const { ms, againstMs = Number.NaN } = await rested(() => peer.measureBoth(command));
      own.push(ms);
      other.push(againstMs);
    }
    await peer.stop();
    rows.push({ name, against, ...compare(own, other), target });
    values.push(
      { name, value: median(own), unit: "ms" },
      { name: `${name}: ${against}`, value: median(other), unit: "ms" },
    );
  }
}

async function rested<Result>(work: () => Promise<Result>): Promise<Result> {
  await sleep(REST_MS);
  return work();
}

const cache = join(tmpdir(), "vitrine-bench");
const peers = Peers.install(cache, availableParallelism());
const large = await halfBillion(cache);
const tiny = await shipped(cache, resolveModelDirectory("tiny"));
const load = loadavg()[0] ?? 0;
if (load > 0.5)
  console.log(`The machine is busy (load average ${load.toFixed(1)}): these numbers are not to be quoted.`);

await compareTogether("0.5B q4", large.plain, 8, { [TRANSFORMERS]: 5, [LLAMA]: 1 });
await compareTogether("0.5B q4", large.plain, 16, { [TRANSFORMERS]: 5.5, [LLAMA]: 1 });
await compareTogether("0.5B q4 of level 4", large.level4, 8, { [TRANSFORMERS]: 2.6 });
await compareTogether("0.5B q4 of level 4", large.level4, 16, { [TRANSFORMERS]: 2.8 });
await compareTogether("tiny q4", tiny, 8, { [TRANSFORMERS]: 5, [LLAMA]: 1 });
await compareTogether("tiny q4", tiny, 16, { [TRANSFORMERS]: 5.5, [LLAMA]: 1 });
const turns = { do: "turns", tokens: LONG_PROMPT } as const;
await compareOwn("0.5B q4, second turn of a long chat", "first turn", large.plain, turns, 20);
const arrival = { do: "arrival", streams: 8, tokens: LONG_PROMPT } as const;
await compareOwn(
  "0.5B q4, longest wait for a token as a prompt arrives",
  "a chunk and a step",
  large.plain,
  arrival,
  0.95,
);
if (wanted("plan and commit")) rows.push(planCosts());
if (wanted("overhead")) values.push(...(await overhead()));
if (wanted("crowd")) values.push(...(await crowd()));
report("npm run bench:engine", rows, values);
