/**
 * What `vitrine/register` costs a program on transformers.js: the same generations in processes with and without it, interleaved, every
 * trace kept. And what loading it adds to a program's start.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { program, REGISTER } from "../support/traced-program.js";
import { PACKAGE_ROOT } from "../support/vitrine-process.js";
import { installTransformers } from "./install.js";
import { halfBillion } from "./model/bench-models.js";
import { type BenchRow, type BenchValue, compare, interleave, median, report } from "./report.js";

const STARTS = 15;

interface Work {
  /** Below the project's models. */
  readonly model: string;
  readonly tokens: number;
  readonly rounds: number;
}

/** A model of the size that people run on CPUs, and the shipped one, whose steps are some hundred times as short: the worst case. */
const WORKS: readonly Work[] = [
  { model: "0.5B", tokens: 8, rounds: 40 },
  { model: "tiny", tokens: 100, rounds: 100 },
];

interface Setting {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

/** A process that generates when it is told to. */
class Generator {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(
    readonly name: string,
    args: readonly string[],
    private readonly tokens: number,
    env: NodeJS.ProcessEnv,
  ) {
    this.#child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"], env });
    this.#lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  }

  static async start({ name, args, env }: Setting, tokens: number): Promise<Generator> {
    const generator = new Generator(name, args, tokens, env);
    await generator.#line();
    return generator;
  }

  /** Milliseconds a token. */
  async round(): Promise<number> {
    this.#child.stdin?.write(`${this.tokens}\n`);
    return Number(await this.#line()) / this.tokens;
  }

  async stop(): Promise<void> {
    const exit = once(this.#child, "exit");
    this.#child.stdin?.end();
    await exit;
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.name} ended`);
    return value;
  }
}

/** The program with its packages and models. */
async function project(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "vitrine-bench-program-"));
  const cache = join(tmpdir(), "vitrine-bench");
  const found = installTransformers(cache);
  if ("missing" in found) throw new Error(found.missing);
  symlinkSync(join(found.path, "node_modules"), join(folder, "node_modules"));
  mkdirSync(join(folder, "models"));
  symlinkSync(join(PACKAGE_ROOT, "models", "tiny"), join(folder, "models", "tiny"));
  symlinkSync((await halfBillion(cache)).level4.directory, join(folder, "models", "0.5B"));
  copyFileSync(program("models/rounds.mjs"), join(folder, "rounds.mjs"));
  return folder;
}

let posts = 0;
const collector = createServer((request, response) => {
  posts += 1;
  request.resume().on("end", () => response.writeHead(202).end());
});
await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve));
const ZIPKIN_ENDPOINT = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
const PLAIN = { ...process.env, ORT_DISABLE_TELEMETRY: "1" };
const TRACED = { ...PLAIN, ZIPKIN_ENDPOINT };
const REGISTERED = ["--import", REGISTER];

function settings(folder: string, model: string): readonly Setting[] {
  const args = [join(folder, "rounds.mjs"), join(folder, "models"), model];
  const traced = [...REGISTERED, ...args];
  return [
    { name: "without", args, env: PLAIN },
    // What two processes differ by, whatever they do.
    { name: "without, once more", args, env: PLAIN },
    { name: "with vitrine/register", args: traced, env: TRACED },
    { name: "with a span for each step", args: traced, env: { ...TRACED, VITRINE_TRACE_DETAIL: "step" } },
  ];
}

async function generation(folder: string, work: Work): Promise<{ rows: BenchRow[]; values: BenchValue[] }> {
  const generators: Generator[] = [];
  try {
    for (const setting of settings(folder, work.model)) generators.push(await Generator.start(setting, work.tokens));
    const variants = generators.map((one) => ({ name: one.name, round: () => one.round() }));
    const costs = await interleave(variants, work.rounds);
    const [[peer, without = []] = [""], ...others] = [...costs];
    const rows = others.map(([name, own]) => ({
      name: `${work.tokens} tokens of ${work.model} (q4), ${name}`,
      against: peer,
      ...compare(own, without),
      ...(name.startsWith("with ") ? { target: 0.98 } : {}),
    }));
    const values = [...costs].map(([name, ms]) => ({
      name: `a token of ${work.model}, ${name}`,
      value: median(ms),
      unit: "ms",
    }));
    return { rows, values };
  } finally {
    await Promise.all(generators.map((one) => one.stop()));
  }
}

async function started(flags: readonly string[]): Promise<number> {
  const start = performance.now();
  await once(spawn(process.execPath, [...flags, "--eval", "0"], { env: TRACED, stdio: "ignore" }), "exit");
  return performance.now() - start;
}

async function starts(): Promise<BenchValue[]> {
  const variants = [
    { name: "without", round: () => started([]) },
    { name: "with vitrine/register", round: () => started(REGISTERED) },
  ];
  const costs = await interleave(variants, STARTS);
  return [...costs].map(([name, ms]) => ({ name: `an empty program, ${name}`, value: median(ms), unit: "ms" }));
}

const folder = await project();
try {
  const found = [];
  for (const work of WORKS) found.push(await generation(folder, work));
  if (posts === 0) throw new Error("no spans came");
  const values = [...found.flatMap((one) => one.values), ...(await starts())];
  report(
    "npm run bench:instrumentation",
    found.flatMap((one) => one.rows),
    values,
  );
} finally {
  rmSync(folder, { recursive: true });
  collector.close().closeAllConnections();
}
