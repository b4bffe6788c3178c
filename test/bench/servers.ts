/**
 * vitrine against other servers, each measured by `vitrine bench` at three loads, a round of each in an order that rotates.
 * The model is SmolLM2-135M-Instruct, 4 bits. `--rounds N`, `--only TEXT` measures the loads whose name has TEXT in it.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import type { BenchResult, LoadPoint } from "../../src/bench/result.js";
import { type BenchRow, type BenchValue, compare, interleave, median, report } from "./report.js";
import { targetModel } from "./targets/target-model.js";
import { TargetProcess } from "./targets/target-process.js";
import { targetCommands, VITRINE } from "./targets/targets.js";

const { values: flags } = parseArgs({
  options: { rounds: { type: "string" }, only: { type: "string" } },
  strict: false,
});
const ROUNDS = Number(flags.rounds ?? 5);
const ONLY = typeof flags.only === "string" ? flags.only : "";

const PROMPT_TOKENS = 128;
const ANSWER_TOKENS = 64;
const CONTEXT = 512;

/** Users, each of whom sends when the answer before is complete, and the requests of a round. */
const LOADS = [
  { users: 1, requests: 4 },
  { users: 4, requests: 8 },
  { users: 16, requests: 16 },
];

/** Numbers of which less is better. */
const METRICS: readonly { readonly name: string; readonly unit: string; readonly of: (point: LoadPoint) => number }[] =
  [
    { name: "time for a token out", unit: "ms", of: ({ summary }) => 1e3 / summary.outputTokensPerSecond.value },
    { name: "TTFT p50", unit: "ms", of: ({ summary }) => summary.latencies.ttft?.p50.value ?? Number.NaN },
    { name: "TPOT p50", unit: "ms", of: ({ summary }) => summary.latencies.tpot?.p50.value ?? Number.NaN },
    { name: "E2E p99", unit: "ms", of: ({ summary }) => summary.latencies.e2e?.p99.value ?? Number.NaN },
  ];

const cache = process.env.VITRINE_BENCH_CACHE ?? join(tmpdir(), "vitrine-bench");
const model = targetModel(cache);
const folder = mkdtempSync(join(tmpdir(), "vitrine-servers-"));
const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
let runs = 0;

/** One round, by the command as a user types it. Prompts are new in each. */
async function measure(target: TargetProcess, users: number, requests: number): Promise<LoadPoint> {
  const json = join(folder, `${runs++}.json`);
  const load = ["--concurrency", `${users}`, "--requests", `${requests}`, "--seed", `${runs}`, "--warmup", "1"];
  const prompts = [
    "--tokenizer",
    model.onnx,
    "--prompt-tokens",
    `${PROMPT_TOKENS}`,
    "--max-tokens",
    `${ANSWER_TOKENS}`,
  ];
  const request = ["--api", "completions", "--temperature", "0", "--ignore-eos"];
  const args = ["bench", "--url", target.address, ...load, ...prompts, ...request, "--json", json];
  await promisify(execFile)(process.execPath, [MAIN, ...args]);
  const { points } = JSON.parse(readFileSync(json, "utf8")) as BenchResult;
  const [point] = points;
  if (point === undefined || point.summary.ok !== requests) throw new Error(`${target.name} failed ${users} users`);
  return point;
}

async function compareAt(targets: readonly TargetProcess[], load: (typeof LOADS)[number]): Promise<void> {
  const title = `${load.users} ${load.users === 1 ? "user" : "users"}`;
  if (!title.includes(ONLY)) return;
  process.stderr.write(`${title}\n`);
  const measured = new Map<string, LoadPoint[]>(targets.map(({ name }) => [name, []]));
  const round = (target: TargetProcess) => async (): Promise<number> => {
    const point = await measure(target, load.users, load.requests);
    measured.get(target.name)?.push(point);
    return point.durationMs;
  };
  await interleave(
    targets.map((target) => ({ name: target.name, round: round(target) })),
    ROUNDS,
  );
  for (const { name, unit, of } of METRICS) {
    // The first round warms up.
    const costs = new Map([...measured].map(([target, points]) => [target, points.slice(1).map(of)]));
    const own = costs.get(VITRINE) ?? [];
    for (const [target, values] of costs) {
      if (target !== VITRINE) rows.push({ name: `${title}, ${name}`, against: target, ...compare(own, values) });
      medians.push({ name: `${title}, ${name}, ${target}`, value: median(values), unit });
    }
  }
}

const rows: BenchRow[] = [];
const medians: BenchValue[] = [];
const threads = availableParallelism();
const sequences = Math.max(...LOADS.map(({ users }) => users));
const commands = await targetCommands(cache, { model, threads, sequences, context: CONTEXT });
const targets: TargetProcess[] = [];
try {
  for (const command of commands) targets.push(await TargetProcess.start(command));
  for (const load of LOADS) await compareAt(targets, load);
  report("npm run bench:servers", rows, medians);
} finally {
  await Promise.all(targets.map((target) => target.stop()));
}
