/**
 * What only a GPU can tell, in one table: whether its answers are the CPU's, how fast they come, and what the memory, the
 * bus and the traces say of it. `--device cpu` rehearses every row with a small model. `--json FILE` holds the rows so far;
 * with `--resume`, what was measured to its end is kept from there. `--only NAME` measures some sections, again if need be.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openGpuSampler } from "../../../src/gpu/sampler.js";
import { halfPrecision } from "../../bench/model/bench-models.js";
import { PACKAGE_ROOT } from "../../support/vitrine-process.js";
import { failure } from "./check-row.js";
import { whatIsMissing } from "./missing.js";
import { withLibraries } from "./packed.js";
import { ratioRows } from "./ratios.js";
import { CheckReport, type ReportHead } from "./report.js";
import type { Section } from "./section.js";
import { runSection, type SectionOrder } from "./section-process.js";
import { CALL_S, SECTIONS } from "./sections.js";
import { settingsFor } from "./settings.js";

const { values: flags } = parseArgs({
  options: {
    device: { type: "string", default: "cuda:0" },
    json: { type: "string" },
    only: { type: "string" },
    resume: { type: "boolean", default: false },
    /** Seconds. */
    within: { type: "string", default: String(CALL_S) },
  },
});
/** Under this name are the rows that follow of others'. */
const RATIOS = "ratios";
/** Seconds without which no section is begun. */
const LEAST_S = 5;

async function main(): Promise<number> {
  const end = performance.now() + Number(flags.within) * 1000;
  const env: NodeJS.ProcessEnv = { ...withLibraries(process.env), ORT_DISABLE_TELEMETRY: "1" };
  const device = flags.device === "cpu" ? "cpu" : "cuda:0";
  const missing = device === "cpu" ? [] : await whatIsMissing(env.LD_LIBRARY_PATH);
  if (missing.length > 0) {
    console.error(`No GPU can be checked here: ${missing.join("; ")}. Rehearse with --device cpu.`);
    return 1;
  }
  const chosen = SECTIONS.filter(({ name }) => name.includes(flags.only ?? ""));
  if (chosen.length === 0) {
    const names = SECTIONS.map(({ name }) => name).join(", ");
    throw new Error(`--only ${flags.only}: no section is called so. There are: ${names}.`);
  }
  const report = new CheckReport(await headOf(device), flags.json);
  if (flags.resume) report.resume();
  const due = flags.only === undefined ? chosen.filter(({ name }) => !report.isDone(name)) : chosen;
  if (due.length < chosen.length) process.stderr.write(`${flags.json} has ${chosen.length - due.length} sections.\n`);
  const settings = settingsFor(device);
  const cache = join(tmpdir(), "vitrine-bench");
  mkdirSync(cache, { recursive: true });
  const model = await halfPrecision(cache, settings.shape);
  for (const section of due) await measure(section, { section: section.name, device, model }, env, end, report);
  // A speed that was missed is a number; an answer that is wrong, or missing, is a failure.
  const failed = report.rows.some(({ met }) => met === false);
  for (const row of ratioRows(report.rows, settings)) report.add(RATIOS, row);
  console.log(report.text());
  return failed ? 1 : 0;
}

/** One that the end of the time cuts short is not done: the next call measures it from its beginning. */
async function measure(
  { name, limitS }: Section,
  order: SectionOrder,
  env: NodeJS.ProcessEnv,
  end: number,
  report: CheckReport,
): Promise<void> {
  const began = performance.now();
  const left = (end - began) / 1000;
  process.stderr.write(`${name}\n`);
  report.begin(name);
  if (left < LEAST_S) {
    report.add(name, failure(name, "no time was left; with --json FILE and --resume the same command goes on here"));
    return;
  }
  const complete = await runSection(order, Math.min(limitS, left), env, (row) => report.add(name, row));
  if (complete || left >= limitS) report.end(name, (performance.now() - began) / 1000);
}

async function headOf(device: string): Promise<ReportHead> {
  const sampler = device === "cpu" ? undefined : await openGpuSampler(0);
  const gpu = (await sampler?.read())?.name;
  sampler?.close();
  const processor = `${cpus().length} x ${cpus()[0]?.model ?? "unknown"}`;
  return {
    command: `npm run gpu:check${device === "cpu" ? " -- --device cpu" : ""}`,
    commit: commit(),
    date: new Date().toISOString().slice(0, 10),
    machine: [...(gpu === undefined ? [] : [gpu]), processor, `Node ${process.version}`].join(", "),
  };
}

/** An archive has no repository, but says what it was made of. */
function commit(): string {
  const packed = join(PACKAGE_ROOT, "COMMIT");
  if (existsSync(packed)) return readFileSync(packed, "utf8").trim();
  return execFileSync("git", ["describe", "--always", "--dirty"], { cwd: PACKAGE_ROOT, encoding: "utf8" }).trim();
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
