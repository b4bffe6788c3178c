/**
 * What `--trace-detail step` costs: a step on the engine's thread and on the server's, and the service's throughput against
 * `phase`, rounds interleaved. `node dist/test/bench/steps.js`
 */
import { setTimeout as sleep } from "node:timers/promises";
import { deserialize, serialize } from "node:v8";
import type { Plan } from "../../src/engine/scheduling/plan.js";
import { Sequence } from "../../src/engine/scheduling/sequence.js";
import { stepStats, stepTiming } from "../../src/engine/step.js";
import type { RequestEvent, StepStats } from "../../src/protocol.js";
import { createTracing, type Tracing } from "../../src/tracing/tracing.js";
import { engineRequest } from "../support/engine-requests.js";
import { VitrineProcess } from "../support/vitrine-process.js";
import { GENERATE, INCOMING } from "../unit/tracing/harness.js";
import { ADMITTED, RUN } from "../unit/tracing/spans/request-fixtures.js";
import { type BenchValue, compare, interleave, median, report } from "./report.js";

const ROUNDS = 24;
/** One after the other in a round: a single one is over in a fifth of a second. */
const BURSTS = 4;
const STREAMS = 8;
const TOKENS = 400;
const BATCHES = 120;
const STEPS = 500;
const NO_GPU = "data:text/javascript,export const openGpuSampler = async () => undefined;";

/** As long as those that the server gives. */
const ids = Array.from({ length: STREAMS }, (_, i) => `${i}`.padStart(32, "a"));

const sequences = ids.map((id, i) => new Sequence(engineRequest({ id, recordSteps: true }), i, 0));
const rows = ids.map((_, slot) => ({ slot, tokens: Int32Array.of(7), past: 100, logits: 1 }));
const work = { phase: "decode", rows: STREAMS, tokens: STREAMS, attended: 808 } as const;
const plan: Plan = { phase: "decode", sequences, rows, work, expectedMs: 1.5 };
const tokens = ids.map((id): RequestEvent => ({ type: "token", id, token: 7, at: 1_000.5 }));

function stats(number: number): StepStats {
  const made = stepStats(plan, stepTiming(plan, number, number, number + 900));
  if (made === undefined) throw new Error("nobody asked for steps");
  return made;
}

/** Microseconds a call. */
function timed(call: (number: number) => void): number {
  const start = performance.now();
  for (let number = 1; number <= STEPS; number++) call(number);
  return ((performance.now() - start) * 1e3) / STEPS;
}

function tracing(sampleRate: number): Tracing {
  const options = { serviceName: "bench", propagation: ["b3multi"], storeTraces: true, localEndpoint: {} } as const;
  const tail = { failed: true, longestMs: 60_000 };
  return createTracing({ ...options, sampleRate, tail, log: () => {} }, { gpuModule: NO_GPU });
}

/** Steps of requests that are running; those that are not sampled end well, and let their steps go. */
function recorder(sampleRate: number): () => number {
  const target = tracing(sampleRate);
  return () => {
    const traces = ids.map((id) => {
      const trace = target.startRequest(INCOMING);
      trace.generating(0, GENERATE);
      trace.observe({ ...ADMITTED, id });
      return trace;
    });
    const steps = Array.from({ length: STEPS }, (_, i) => stats(i + 1));
    const start = performance.now();
    for (const step of steps) target.recordStep(step, RUN);
    for (const trace of traces) trace.finish({ status: 200, at: 36_000 });
    return ((performance.now() - start) * 1e3) / STEPS;
  };
}

async function costs(): Promise<BenchValue[]> {
  const bare = (): void => void deserialize(serialize(tokens));
  const told = (number: number): void =>
    void deserialize(serialize([{ type: "step", step: stats(number) }, ...tokens]));
  const work: readonly (readonly [string, () => number])[] = [
    ["engine: what is told of a step", () => timed(stats)],
    ["both: a message of 8 tokens, packed and unpacked", () => timed(bare)],
    ["both: the same with its step, made, packed and unpacked", () => timed(told)],
    ["server: the span of a step of 8 sampled requests, their own ends included", recorder(1)],
    ["server: a step of 8 undecided requests, held and let go", recorder(0)],
  ];
  const micros = new Map<string, number[]>(work.map(([name]) => [name, []]));
  for (let batch = 0; batch < BATCHES; batch++) {
    for (const [name, run] of work) {
      const cost = run();
      if (batch >= BATCHES / 4) micros.get(name)?.push(cost);
    }
    // For the export thread to catch up.
    await sleep(30);
  }
  return work.map(([name]) => ({ name, value: median(micros.get(name) ?? []), unit: "us" }));
}

async function round(address: string): Promise<number> {
  const body = { model: "tiny", prompt: "Once upon a time", max_tokens: TOKENS, temperature: 1, seed: 1, stream: true };
  const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const start = performance.now();
  const stream = async (): Promise<void> => {
    const text = await (await fetch(`${address}/v1/completions`, init)).text();
    if (!text.includes("[DONE]")) throw new Error("a stream was cut off");
  };
  for (let burst = 0; burst < BURSTS; burst++) await Promise.all(Array.from({ length: STREAMS }, stream));
  return performance.now() - start;
}

const details = ["phase", "step"];
const servers: VitrineProcess[] = [];
try {
  for (const detail of details) {
    servers.push(await VitrineProcess.start({ flags: ["--trace-detail", detail], env: { LOG_LEVEL: "silent" } }));
  }
  const variants = servers.map(({ url }, i) => ({ name: details[i] ?? "", round: () => round(url) }));
  const taken = await interleave(variants, ROUNDS);
  const [phase = [], step = []] = details.map((detail) => taken.get(detail));
  const name = `${STREAMS} stories at once, --trace-detail step`;
  report("node dist/test/bench/steps.js", [{ name, against: "phase", ...compare(step, phase) }], await costs());
} finally {
  await Promise.all(servers.map((server) => server.stop()));
}
process.exit();
