/**
 * What only a GPU can tell, in one table: whether its answers are the CPU's, how fast they come, and what the memory, the
 * bus and the traces say of it. `--device cpu` rehearses every row with a small model. `--json FILE` holds the rows so far.
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
import { ratioRows } from "./ratios.js";
import { CheckReport, type ReportHead } from "./report.js";
import { runSection } from "./section-process.js";
import { SECTIONS } from "./sections.js";
import { settingsFor } from "./settings.js";

const { values: flags } = parseArgs({
  options: {
    device: { type: "string", default: "cuda:0" },
    json: { type: "string" },
    only: { type: "string", default: "" },
    /** Seconds: with what follows the last section, less than a call of ten minutes. */
    within: { type: "string", default: "560" },
  },
});
/** Where an unpacked archive has CUDA's own libraries. */
const PACKED_LIBRARIES = join(PACKAGE_ROOT, "cuda");

async function main(): Promise<number> {
  const env = environment();
  const device = flags.device === "cpu" ? "cpu" : "cuda:0";
  const missing = device === "cpu" ? undefined : whatIsMissing(env.LD_LIBRARY_PATH);
  if (missing !== undefined) {
    console.error(`No GPU can be checked here: ${missing}. Rehearse with --device cpu.`);
    return 1;
  }
  const settings = settingsFor(device);
  const report = new CheckReport(await headOf(device), flags.json);
  const end = performance.now() + Number(flags.within) * 1000;
  const cache = join(tmpdir(), "vitrine-bench");
  mkdirSync(cache, { recursive: true });
  const model = await halfPrecision(cache, settings.shape);
  for (const { name, limitS } of SECTIONS.filter((section) => section.name.includes(flags.only))) {
    process.stderr.write(`${name}\n`);
    const left = (end - performance.now()) / 1000;
    if (left < 5) report.add(failure(name, "no time was left"));
    else await runSection({ section: name, device, model }, Math.min(limitS, left), env, report.add);
  }
  // A speed that was missed is a number; an answer that is wrong, or missing, is a failure.
  const failed = report.rows.some(({ met }) => met === false);
  for (const row of ratioRows(report.rows, settings)) report.add(row);
  report.print();
  return failed ? 1 : 0;
}

/** Of the sections' processes: the loader reads it when they start. */
function environment(): NodeJS.ProcessEnv {
  const { LD_LIBRARY_PATH: given } = process.env;
  const folders = [...(existsSync(PACKED_LIBRARIES) ? [PACKED_LIBRARIES] : []), ...(given ? [given] : [])];
  const path = folders.length === 0 ? {} : { LD_LIBRARY_PATH: folders.join(":") };
  return { ...process.env, ...path, ORT_DISABLE_TELEMETRY: "1" };
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
  return execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: PACKAGE_ROOT, encoding: "utf8" }).trim();
}

process.exitCode = await main();
