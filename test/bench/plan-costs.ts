import { KvCache } from "../../src/engine/cache/kv-cache.js";
import { Scheduler } from "../../src/engine/scheduling/scheduler.js";
import { stepTiming } from "../../src/engine/step.js";
import { engineRequest } from "../support/engine-requests.js";
import { type BenchRow, compare } from "./report.js";

const ROUNDS = 40;
const STEPS = 500;
const STREAMS = 16;

/** One `plan` and `commit` with few and with many requests waiting, in alternating rounds. */
export function planCosts(): BenchRow {
  const [few, many]: [number[], number[]] = [[], []];
  const [withFew, withMany] = [stepper(16), stepper(10_000)];
  for (let round = 0; round < ROUNDS; round++) {
    const order = round % 2 === 0 ? [withFew, withMany] : [withMany, withFew];
    for (const step of order) (step === withFew ? few : many).push(step());
  }
  const name = "plan and commit with 10,000 waiting";
  // The first rounds warm up.
  return { name, against: "16 waiting", ...compare(many.slice(8), few.slice(8)), target: 1 / 1.2 };
}

/** Makes a scheduler whose slots are all taken; a call is some steps of it, in milliseconds. */
function stepper(waiting: number): () => number {
  const memory = { rewinds: true, reserve: () => {}, copy: () => {}, release: () => {} };
  const tokens = 1 << 20;
  let now = 0;
  const clock = (): number => now++;
  const cache = new KvCache({ rows: STREAMS, tokens, cells: STREAMS * tokens, memory, clock });
  const options = { cache, clock, kvBytesPerToken: 1, rewinds: true, prefillChunk: 256, emit: () => {} };
  const scheduler = new Scheduler(options);
  for (let i = 0; i < STREAMS + waiting; i++) {
    scheduler.submit(engineRequest({ id: `r${i}`, prompt: Int32Array.of(i, i + 1, i + 2), maxTokens: 1 << 19 }));
  }
  const choose = () => ({ token: 7 });
  const score = (): never => {
    throw new Error("nobody asked");
  };
  return () => {
    const start = performance.now();
    for (let number = 1; number <= STEPS; number++) {
      const plan = scheduler.plan();
      if (plan === undefined) throw new Error("there is nothing to do");
      scheduler.commit(plan, stepTiming(plan, number, clock(), clock()), { choose, score });
    }
    return performance.now() - start;
  };
}
