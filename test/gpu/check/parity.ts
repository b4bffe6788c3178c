import type { ModelRunner } from "../../../src/engine/runner.js";
import { resolveModelDirectory } from "../../../src/runtime/files/model-directory.js";
import type { HalfDtype } from "../../bench/model/bench-models.js";
import { type CheckRow, failureOf, judged, skipped } from "./check-row.js";
import { type CheckedRuntime, NO_BFLOAT16 } from "./decoding.js";
import { openRunner, type WantedRunner } from "./runners.js";
import type { SectionContext } from "./section.js";

const PROMPT_TOKENS = 48;
const FORCED_STEPS = 8;
/**
 * Half precision through some tens of layers, in an order of sums that is each device's own. bfloat16 has three bits less,
 * also of the weights that the reference has: 0.1 is what PyTorch comes to on the CPU; another sequence's are at 4.
 */
const MOST_ERROR: Readonly<Record<HalfDtype, number>> = { fp16: 0.1, q4f16: 0.1, bf16: 0.3 };
/** Whose logits on the CPU, which has no kernels for bfloat16, are the right ones. */
const REFERENCES = { fp16: "fp16", q4f16: "q4f16", bf16: "fp16" } as const;
const RUNTIMES: readonly CheckedRuntime[] = ["native", "node"];

/** Whether the device says what the CPU says: the shipped model's ids in single precision, logits in half precision. */
export async function compareWithCpu(context: SectionContext): Promise<void> {
  const { tell, settings, model } = context;
  for (const runtime of RUNTIMES) {
    const name = `tiny fp32 ${runtime}, ids equal to the CPU's`;
    tell(await attempt(name, () => sameIds(name, runtime, context)));
  }
  const reference = cpuLogits(model);
  for (const dtype of ["fp16", "q4f16", "bf16"] as const) {
    if (dtype === "bf16" && settings.device === "cpu") {
      tell(skipped(errorName(dtype, "native"), NO_BFLOAT16));
      continue;
    }
    const wanted = { modelDir: model, dtype, device: settings.device, maxSequences: 2 } as const;
    for (const runtime of dtype === "bf16" ? (["native"] as const) : RUNTIMES) {
      const expected = reference(REFERENCES[dtype]);
      const name = errorName(dtype, runtime);
      tell(await attempt(name, () => logitError(name, expected, { ...wanted, runtime }, MOST_ERROR[dtype])));
    }
    if (dtype === "bf16") tell(skipped(errorName(dtype, "node"), "onnxruntime-node's binding has no bfloat16"));
    const name = `${dtype} native, candidates chosen on the device`;
    tell(await attempt(name, () => sameCandidates(name, { ...wanted, runtime: "native" })));
  }
}

const errorName = (dtype: HalfDtype, runtime: CheckedRuntime): string =>
  `${dtype} ${runtime}, largest error of a logit`;

/** Each dtype's logits on the CPU, loaded once for all that is compared with them. */
function cpuLogits(modelDir: string): (dtype: HalfDtype) => Promise<Float32Array[]> {
  const known = new Map<HalfDtype, Promise<Float32Array[]>>();
  return (dtype) => {
    const logits =
      known.get(dtype) ?? opened({ modelDir, dtype, maxSequences: 2, device: "cpu", runtime: "node" }, forcedLogits);
    // Whoever awaits it hears of a failure.
    logits.catch(() => {});
    known.set(dtype, logits);
    return logits;
  };
}

async function attempt(name: string, measure: () => Promise<CheckRow>): Promise<CheckRow> {
  try {
    return await measure();
  } catch (error) {
    return failureOf(name, error);
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
  mostError: number,
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
    mostError,
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
    if (wanted.device === "cpu") return skipped(name, "on the CPU all logits are at hand");
    if (rows.some(({ top }) => top === undefined)) return failureOf(name, "the device chose none");
    const wrong = rows.flatMap((logits) => {
      const row = logits.all();
      const expected = row.toSorted((a, b) => b - a);
      return [...(logits.top?.ids ?? [])].filter((id, place) => row[id] !== expected[place]);
    });
    return judged({ name, value: wrong.length, unit: "in another place than in the whole row" }, "at most", 0);
  });
}
