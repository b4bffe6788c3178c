import type { ModelRunner } from "../../../src/engine/runner.js";
import { reasonOf } from "../../../src/runtime/files/json-file.js";
import { resolveModelDirectory } from "../../../src/runtime/files/model-directory.js";
import { type CheckRow, failure, judged } from "./check-row.js";
import type { CheckedRuntime } from "./decoding.js";
import { openRunner, type WantedRunner } from "./runners.js";
import type { SectionContext } from "./section.js";

const PROMPT_TOKENS = 48;
const FORCED_STEPS = 8;
/** Half precision through some tens of layers, in an order of sums that is each device's own. */
const MOST_ERROR = 0.1;
const RUNTIMES: readonly CheckedRuntime[] = ["native", "node"];

/** Whether the device says what the CPU says: the shipped model's ids in single precision, logits in half precision. */
export async function compareWithCpu(context: SectionContext): Promise<void> {
  const { tell, settings, model } = context;
  for (const runtime of RUNTIMES) {
    const name = `tiny fp32 ${runtime}, ids equal to the CPU's`;
    tell(await attempt(name, () => sameIds(name, runtime, context)));
  }
  for (const dtype of ["fp16", "q4f16"] as const) {
    const wanted = { modelDir: model, dtype, maxSequences: 2 } as const;
    // Loaded once for all that is compared with it; whoever awaits it hears of a failure.
    const reference = opened({ ...wanted, device: "cpu", runtime: "node" }, forcedLogits);
    reference.catch(() => {});
    for (const runtime of RUNTIMES) {
      const name = `${dtype} ${runtime}, largest error of a logit`;
      tell(await attempt(name, () => logitError(name, reference, { ...wanted, device: settings.device, runtime })));
    }
    const name = `${dtype} native, candidates chosen on the device`;
    const native = { ...wanted, device: settings.device, runtime: "native" } as const;
    tell(await attempt(name, () => sameCandidates(name, native)));
  }
}

async function attempt(name: string, measure: () => Promise<CheckRow>): Promise<CheckRow> {
  try {
    return await measure();
  } catch (error) {
    return failure(name, reasonOf(error));
  }
}

async function opened<Result>(wanted: WantedRunner, use: (runner: ModelRunner) => Promise<Result>): Promise<Result> {
  const runner = await openRunner(wanted);
  try {
    return await use(runner);
  } finally {
    await runner.dispose();
  }
}

async function sameIds(name: string, runtime: CheckedRuntime, { settings }: SectionContext): Promise<CheckRow> {
  const { device, greedyTokens } = settings;
  const wanted = { modelDir: resolveModelDirectory("tiny"), dtype: "fp32", maxSequences: 1 } as const;
  const reference = await opened({ ...wanted, device: "cpu", runtime: "native" }, (runner) =>
    greedy(runner, greedyTokens),
  );
  const ids = await opened({ ...wanted, device, runtime }, (runner) => greedy(runner, greedyTokens));
  const equal = ids.findIndex((id, index) => id !== reference[index]);
  const value = equal < 0 ? ids.length : equal;
  return judged({ name, value, unit: `of ${greedyTokens} tokens` }, "at least", greedyTokens);
}

async function greedy(runner: ModelRunner, count: number): Promise<number[]> {
  const ids: number[] = [];
  let [tokens, past] = [Int32Array.of(5, 40, 7, 300, 21), 0];
  while (ids.length < count) {
    const [logits] = await runner.run([{ slot: 0, tokens, past }]);
    const row = logits?.all() ?? new Float32Array();
    const best = row.indexOf(row.reduce((most, value) => Math.max(most, value)));
    ids.push(best);
    past += tokens.length;
    tokens = Int32Array.of(best);
  }
  return ids;
}

/** After a prompt and after some tokens more that are the same on both sides, in units of the logits' root mean square. */
async function logitError(
  name: string,
  expectedLogits: Promise<Float32Array[]>,
  wanted: WantedRunner,
): Promise<CheckRow> {
  const reference = await expectedLogits;
  const logits = await opened(wanted, forcedLogits);
  let most = 0;
  let squares = 0;
  let count = 0;
  for (const [step, row] of logits.entries()) {
    for (const [id, value] of row.entries()) {
      const expected = reference[step]?.[id] as number;
      const difference = Math.abs(value - expected);
      most = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(most, difference);
      squares += expected ** 2;
      count++;
    }
  }
  return judged(
    { name, value: most / Math.sqrt(squares / count), unit: "of their root mean square" },
    "at most",
    MOST_ERROR,
  );
}

async function forcedLogits(runner: ModelRunner): Promise<Float32Array[]> {
  const ids = Int32Array.from(
    { length: PROMPT_TOKENS + FORCED_STEPS },
    (_, at) => (at * 7919 + 13) % runner.model.vocabSize,
  );
  const rows: Float32Array[] = [];
  for (let past = 0, end = PROMPT_TOKENS; end <= ids.length; past = end++) {
    const [logits] = await runner.run([{ slot: 0, tokens: ids.subarray(past, end), past }]);
    rows.push((logits?.all() ?? new Float32Array()).slice());
  }
  return rows;
}

/** Against the whole row: the largest first, of equals any. */
async function sameCandidates(name: string, wanted: WantedRunner): Promise<CheckRow> {
  return opened(wanted, async (runner) => {
    await runner.run([0, 1].map((slot) => ({ slot, tokens: Int32Array.of(1, 2 + slot, 3), past: 0 })));
    const rows = await runner.run(
      [0, 1].map((slot) => ({ slot, tokens: Int32Array.of(4 + slot), past: 3, top: true })),
    );
    if (rows.every(({ top }) => top === undefined)) return { name, value: "none: all logits are at hand" };
    const wrong = rows.flatMap((logits) => {
      const row = logits.all();
      const expected = row.toSorted((a, b) => b - a);
      return [...(logits.top?.ids ?? [])].filter((id, place) => row[id] !== expected[place]);
    });
    return judged({ name, value: wrong.length, unit: "in another place than in the whole row" }, "at most", 0);
  });
}
