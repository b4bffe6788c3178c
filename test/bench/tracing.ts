/**
 * What tracing costs a service: speed, latencies, processor time and memory against a server that does not trace, by share
 * of traces kept, by detail, and by the state of the collector. Then what a span costs the thread it ends on.
 * `--only TEXT` measures the rows whose title has it (`hung, 100 %`, `0.5B`, `producer`), `--seconds N` the time for each state.
 */
import { cpus, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { median } from "simple-statistics";
import type { CollectorState } from "./collector.js";
import { type BenchRow, type BenchValue, report } from "./report.js";
import { type ContestOptions, contest, type Entry, METRICS, type Metric, type Turn } from "./tracing/contest.js";
import { largeModel } from "./tracing/large-model.js";
import { pairedRatio } from "./tracing/paired.js";
import { producerCost } from "./tracing-producer.js";

const { values: flags } = parseArgs({
  options: { only: { type: "string" }, seconds: { type: "string", default: "70" } },
  strict: false,
});
const ONLY = typeof flags.only === "string" ? flags.only : "";
const SECONDS = Number(flags.seconds);
/** Two starts of one program differ by a few per cent in speed for as long as they live. */
const STARTS = 2;

const OFF: Entry = { name: "no tracing", server: "off", flags: ["--trace-store", "off"] };
/** In the same process as what is fully traced: its clients say no. */
const DENIED: Entry = {
  name: "all traces denied",
  server: "100 %",
  flags: ["--keep-failed", "off"],
  headers: { b3: "0" },
};
const FULL: Entry = { name: "100 %", server: DENIED.server, flags: DENIED.flags };
const TRACED: readonly Entry[] = [
  { name: "1 %", server: "1 %", flags: ["--sample-rate", "0.01"] },
  { name: "10 %", server: "10 %", flags: ["--sample-rate", "0.1"] },
  FULL,
  { name: "steps", server: "steps", flags: ["--trace-detail", "step"] },
];
const STATES: readonly CollectorState[] = ["accepting", "refusing", "hung", "overloaded"];
/** What is promised of 100 % and a collector that hangs. */
const TARGETS: Readonly<Partial<Record<Metric, number>>> = { throughput: 0.99, "between tokens p99": 1 / 1.02 };
const UNITS: Readonly<Record<Metric, string>> = {
  throughput: "ms/token",
  "first token p50": "ms",
  "first token p99": "ms",
  "between tokens p50": "ms",
  "between tokens p99": "ms",
  "processor time": "ms/1,000 tokens",
  memory: "MiB",
};

const rows: BenchRow[] = [];
const values: BenchValue[] = [];

/** Those of `traced` that are asked for, against the others. */
async function measure(
  title: string,
  peers: readonly Entry[],
  traced: readonly Entry[],
  options: ContestOptions,
): Promise<void> {
  const wanted = traced.filter(({ name }) => `${title}, ${name}`.includes(ONLY));
  if (wanted.length === 0) return;
  const entries = [...peers, ...wanted];
  const turns = new Map<string, Turn[]>(entries.map(({ name }) => [name, []]));
  for (let start = 1; start <= STARTS; start++) {
    process.stderr.write(`${title}, start ${start} of ${STARTS}\n`);
    await contest(entries, { ...options, seconds: options.seconds / STARTS }, turns);
  }
  addRows(title, entries, turns);
}

function addRows(title: string, entries: readonly Entry[], turns: ReadonlyMap<string, readonly Turn[]>): void {
  const costs = ({ name }: Entry, metric: Metric) => (turns.get(name) ?? []).flatMap((turn) => turn[metric] ?? []);
  for (const entry of entries) {
    for (const metric of METRICS) {
      const own = costs(entry, metric);
      if (own.length === 0) continue;
      const name = `${title}, ${entry.name}: ${metric}`;
      values.push({ name, value: median(own), unit: UNITS[metric] });
      const target = entry === FULL && title.includes("hung") ? TARGETS[metric] : undefined;
      for (const peer of entries.filter((other) => other === OFF || (other === DENIED && entry === FULL))) {
        if (peer === entry) continue;
        const row = { name, against: peer.name, ...pairedRatio(own, costs(peer, metric)) };
        rows.push(target === undefined ? row : { ...row, target });
      }
    }
  }
}

const work = { model: "tiny", streams: 8, answers: 3, tokens: 128 };
// On one thread: two wait for each other for most of so small a model's step, and what is measured is who wakes first.
const small = { flags: ["--threads", "1"], apart: cpus().length > 1, work };
for (const collector of STATES) {
  const options = { ...small, collector, openLoopMs: 500, seconds: SECONDS };
  await measure(`tiny, collector ${collector}`, [OFF, DENIED], TRACED, options);
}
// Enough turns to tell a hundredth.
const many = { ...small, collector: "hung", seconds: 1.5 * SECONDS } as const;
await measure("tiny, collector hung, many turns", [DENIED], [FULL], many);
if ("0.5B, collector hung, 100 %".includes(ONLY)) {
  const directory = await largeModel(join(tmpdir(), "vitrine-bench"));
  const answers = { model: basename(directory), streams: 4, answers: 1, tokens: 24 };
  const large = { flags: ["--model", directory], apart: false, work: answers, openLoopMs: 2_000 };
  await measure("0.5B, collector hung", [OFF, DENIED], [FULL], { ...large, collector: "hung", seconds: 1.5 * SECONDS });
}
const producer = "producer".includes(ONLY) ? await producerCost() : { rows: [], values: [] };
const command = `npm run bench:tracing${ONLY === "" ? "" : ` -- --only "${ONLY}"`}`;
report(command, [...rows, ...producer.rows], [...values, ...producer.values]);
