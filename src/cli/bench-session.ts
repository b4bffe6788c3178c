import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { compareVariants } from "../bench/ab/compare-variants.js";
import { startVariants } from "../bench/ab/variants.js";
import { baseOf, describeTarget } from "../bench/client/target.js";
import { type BenchTracing, createBenchTracing } from "../bench/client/tracing.js";
import { runBench, type Variant } from "../bench/load/bench-run.js";
import { requestHeaders } from "../bench/load/chat-player.js";
import { realClock } from "../bench/load/clock.js";
import type { BenchPlan } from "../bench/load/plan.js";
import { type BenchResult, type LoadPoint, RESULT_VERSION } from "../bench/result.js";
import { TraceReadback } from "../bench/traces/readback.js";
import { addressOf } from "../destinations.js";
import { VitrineError } from "../errors.js";
import type { BenchSettings } from "./bench-options.js";
import { commandLine, commitOf, thisMachine } from "./bench-origin.js";
import { checkOutputs, writeOutputs } from "./bench-outputs.js";
import { benchPlan } from "./bench-plan.js";
import { BenchProgress } from "./bench-progress.js";
import { checkVariants } from "./bench-variants.js";
import { exitStatus, onStopSignal } from "./stop-signals.js";

/** How long the last spans may take to be sent. */
const FLUSH_MS = 10_000;

interface Targets {
  readonly variants: readonly Variant[];
  stop(): Promise<void>;
}

/** Runs a benchmark and reports it, also where a signal ends it early. Resolves with the exit status. */
export async function bench(settings: BenchSettings, serverFlags: readonly string[]): Promise<number> {
  const abort = new AbortController();
  let interrupted: number | undefined;
  onStopSignal((count, signal) => {
    if (count > 1) process.exit(exitStatus(signal));
    interrupted = exitStatus(signal);
    abort.abort();
  });
  try {
    const answered = await benchTargets(settings, serverFlags, abort.signal);
    return interrupted ?? (answered ? 0 : 1);
  } catch (error) {
    // Before there is anything to report, an interruption is all there is to tell.
    if (interrupted !== undefined) return interrupted;
    throw error;
  }
}

/** Resolves with whether any request was answered. */
async function benchTargets(
  settings: BenchSettings,
  serverFlags: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  checkOutputs(settings);
  const planFor = await benchPlan(settings);
  const startedAt = new Date().toISOString();
  const targets = await startTargets(settings, serverFlags, signal);
  try {
    const result = await measure(settings, planFor, { variants: targets.variants, startedAt, signal });
    writeOutputs(result, settings);
    return result.points.some(({ summary }) => summary.ok > 0);
  } finally {
    await targets.stop();
  }
}

async function startTargets(
  { url, ab, zipkinEndpoint }: BenchSettings,
  flags: readonly string[],
  signal: AbortSignal,
): Promise<Targets> {
  if (url !== undefined && ab !== undefined) throw wrong("--url, --ab: choose one; --ab starts both of its servers.");
  if (ab === undefined && flags.length > 0) throw wrong("flags after -- are the servers', which --ab starts.");
  if (url !== undefined) return { variants: [{ base: url }], stop: async () => {} };
  if (ab === undefined) throw wrong("--url: say which service to measure, or --ab to compare two.");
  const entry = fileURLToPath(new URL("./bench-server.js", import.meta.url));
  const setting = { entry, flags, env: process.env, ...(zipkinEndpoint === undefined ? {} : { zipkinEndpoint }) };
  checkVariants(ab, setting);
  const { variants, stop } = await startVariants(ab, setting, signal);
  return { variants: variants.map(({ name, address }) => ({ name, base: baseOf(address) })), stop };
}

interface Session {
  readonly variants: readonly Variant[];
  readonly startedAt: string;
  readonly signal: AbortSignal;
}

async function measure(
  settings: BenchSettings,
  planFor: (model: string) => BenchPlan,
  { variants, startedAt, signal }: Session,
): Promise<BenchResult> {
  const { base } = variants[0] as Variant;
  const { server, model: listed, status } = await describeTarget(base, requestHeaders(settings.apiKey), signal);
  const model = settings.model ?? listed;
  if (model === undefined) throw wrong(noModel(base, status));
  const plan = planFor(model);
  const clock = realClock();
  const runId = randomBytes(8).toString("hex");
  const log = (level: string, message: string): void => {
    if (level !== "info") console.error(message);
  };
  const tracing = createBenchTracing({ clock, runId, zipkinEndpoint: settings.zipkinEndpoint, log });
  const progress = new BenchProgress(process.stderr, clock);
  const readback = new TraceReadback(settings.zipkinEndpoint);
  try {
    const afterLoad = (point: LoadPoint, address: string) => readback.afterLoad(point, address);
    const measured = await runBench(plan, variants, { clock, tracing, observer: progress, afterLoad, signal });
    tracing.run({ requests: measured.reduce((sum, { requests }) => sum + requests.length, 0), model });
    await flush(tracing);
    const points = await readback.atEnd(measured);
    const commit = commitOf();
    return {
      version: RESULT_VERSION,
      command: commandLine(process.argv.slice(2)),
      startedAt,
      machine: thisMachine(),
      ...(commit === undefined ? {} : { commit }),
      runId,
      target: { url: addressOf(base), model, ...(server === undefined ? {} : { server }) },
      ...(settings.zipkinEndpoint === undefined ? {} : { zipkinEndpoint: addressOf(settings.zipkinEndpoint) }),
      slos: settings.slo,
      points,
      ...(variants.length === 2 ? { comparison: compareVariants(points) } : {}),
    };
  } catch (error) {
    await flush(tracing);
    throw error;
  } finally {
    progress.stop();
  }
}

/** A wrong path and a missing key look alike from here: the status tells them apart. */
const noModel = (base: string, status: number): string =>
  `--model: ${addressOf(base)}/models answers ${status} and lists no model; say which one to ask for, or correct --url or OPENAI_API_KEY.`;

async function flush(tracing: BenchTracing): Promise<void> {
  await tracing.shutdown(FLUSH_MS);
  const counters = tracing.counters();
  const dropped = Object.entries(counters?.dropped ?? {}).filter(([, count]) => count > 0);
  if (dropped.length === 0) return;
  console.error(
    `Spans of the harness that were lost: ${dropped.map(([cause, count]) => `${count} ${cause}`).join(", ")}.`,
  );
}

const wrong = (message: string): VitrineError => new VitrineError("config_invalid", message);
