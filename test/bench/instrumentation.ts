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
import { type BenchRow, type BenchValue, compare, interleave, median, report } from "./report.js";

const ROUNDS = 150;
const TOKENS = 100;
const STARTS = 15;

/** A process that generates when it is told to. */
class Generator {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(
    readonly name: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv,
  ) {
    this.#child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"], env });
    this.#lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  }

  static async start(name: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Generator> {
    const generator = new Generator(name, args, env);
    await generator.#line();
    return generator;
  }

  /** Milliseconds a token. */
  async round(): Promise<number> {
    this.#child.stdin?.write(`${TOKENS}\n`);
    return Number(await this.#line()) / TOKENS;
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

/** The program with its packages, and the shipped model. */
function project(): string {
  const folder = mkdtempSync(join(tmpdir(), "vitrine-bench-program-"));
  const found = installTransformers(join(tmpdir(), "vitrine-bench"));
  if ("missing" in found) throw new Error(found.missing);
  symlinkSync(join(found.path, "node_modules"), join(folder, "node_modules"));
  mkdirSync(join(folder, "models"));
  symlinkSync(join(PACKAGE_ROOT, "models", "tiny"), join(folder, "models", "model"));
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

async function generation(folder: string): Promise<{ rows: BenchRow[]; values: BenchValue[] }> {
  const args = [join(folder, "rounds.mjs"), join(folder, "models")];
  const settings: readonly (readonly [string, readonly string[], NodeJS.ProcessEnv])[] = [
    ["without", args, PLAIN],
    ["without, once more", args, PLAIN],
    ["with vitrine/register", [...REGISTERED, ...args], TRACED],
    ["with a span for each step", [...REGISTERED, ...args], { ...TRACED, VITRINE_TRACE_DETAIL: "step" }],
  ];
  const generators: Generator[] = [];
  try {
    for (const [name, own, env] of settings) generators.push(await Generator.start(name, own, env));
    const variants = generators.map((one) => ({ name: one.name, round: () => one.round() }));
    const costs = await interleave(variants, ROUNDS);
    const of = (name: string): readonly number[] => costs.get(name) ?? [];
    const rows = settings.slice(1).map(([name], index) => ({
      name: `${TOKENS} tokens of tiny (q4), ${name}`,
      against: "without",
      ...compare(of(name), of("without")),
      ...(index === 1 ? { target: 0.98 } : {}),
    }));
    const values = settings.map(([name]) => ({ name: `a token, ${name}`, value: median(of(name)), unit: "ms" }));
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

const folder = project();
try {
  const { rows, values } = await generation(folder);
  if (posts === 0) throw new Error("no spans came");
  report("npm run bench:instrumentation", rows, [...values, ...(await starts())]);
} finally {
  rmSync(folder, { recursive: true });
  collector.close().closeAllConnections();
}
