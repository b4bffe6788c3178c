import { type Command, InvalidArgumentError } from "commander";
import type { Slo } from "../bench/result.js";
import { VitrineError } from "../errors.js";
import { wholeNumber } from "./arguments.js";
import { sloSetting } from "./bench-values.js";

interface PlanFlags {
  readonly slo: readonly Slo[];
  readonly attainment: number;
  readonly rate: number;
  readonly promptTokens?: number;
  readonly outputTokens?: number;
  readonly maxSequences: number;
  readonly prefillChunk: number;
}

const positive = (text: string): number => {
  const value = Number(text);
  if (text.trim() === "" || !(value > 0)) throw new InvalidArgumentError("expected a number above 0");
  return value;
};

const attainment = (text: string): number => {
  const value = Number(text.replace(/%$/, "")) / 100;
  if (!(value > 0 && value < 1)) throw new InvalidArgumentError("expected a share below 100%, such as 95%");
  return value;
};

const slo = (text: string, before: readonly Slo[] = []): readonly Slo[] => {
  const parsed = sloSetting.safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError(parsed.error.issues[0]?.message ?? "expected a limit");
  if (parsed.data.metric === "itl" || parsed.data.metric === "queue") {
    throw new InvalidArgumentError("a plan tells of ttft, tpot and e2e only");
  }
  return [...before, parsed.data];
};

const HOW_TO_MAKE = "/api/v2/traces?limit=1000 of a Zipkin, or of a worker's /zipkin, answers one";

/** Adds `vitrine bench plan`. */
export function addCapacity(bench: Command): void {
  bench
    .command("plan")
    .description("tell how many workers a load needs, from recorded traces")
    .argument("<traces>", "JSON file of traces, as a Zipkin's /api/v2/traces?limit=1000 answers them")
    .requiredOption("--rate <PER_SECOND>", "requests a second, arriving as a Poisson process", positive)
    .requiredOption("--slo <LIMIT>", "a limit such as ttft:200ms, of ttft, tpot or e2e; repeatable", slo)
    .option("--attainment <SHARE>", "share of the requests that is to keep every limit", attainment, 0.95)
    .option("--prompt-tokens <N>", "length of each prompt; without it those of the traces", wholeNumber)
    .option("--output-tokens <N>", "length of each answer; without it those of the traces", wholeNumber)
    .option("--max-sequences <N>", "most requests that generate at once, as the worker's option", wholeNumber, 32)
    .option("--prefill-chunk <TOKENS>", "most prompt tokens in one step, as the worker's option", wholeNumber, 256)
    .action(async (file: string, flags: PlanFlags) => plan(file, flags));
}

async function plan(file: string, flags: PlanFlags): Promise<void> {
  const [{ readJson }, { tracesSchema }, { planCapacity }, { describePlan }, { terminalStyle }, { seededRandom }] =
    await Promise.all([
      import("../bench/result-file.js"),
      import("../bench/traces/zipkin-json.js"),
      import("../bench/plan/plan-capacity.js"),
      import("../bench/plan/describe-plan.js"),
      import("./bench-outputs.js"),
      import("../../models/tiny/random.js"),
    ]);
  const traces = tracesSchema.safeParse(readJson(file, HOW_TO_MAKE));
  if (!traces.success) {
    const message = `${file}: not a list of Zipkin's traces; ${HOW_TO_MAKE}.`;
    throw new VitrineError("config_invalid", message);
  }
  const random = () => seededRandom(1);
  const planned = planCapacity(traces.data, flags, random);
  if (planned === undefined) {
    const message = `${file}: too few requests of vitrine's that ran to their end; record at least ten, better hundreds at several loads.`;
    throw new VitrineError("config_invalid", message);
  }
  console.log(describePlan(planned, terminalStyle()));
}
