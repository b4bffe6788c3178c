import type { Slo } from "../result.js";
import type { RecordedTrace } from "../traces/zipkin-json.js";
import { type Goal, type Outlook, type PlannedLoad, ratePerWorker, workersFor } from "./capacity.js";
import { fitStepModel, type StepModel } from "./step-model.js";
import { requestSamples } from "./step-samples.js";
import { recordedSteps } from "./step-spans.js";

export interface CapacityQuestion {
  readonly rate: number;
  readonly slo: readonly Slo[];
  /** Share of the requests that is to keep every limit, below 1. */
  readonly attainment: number;
  /** Lengths of every request; where absent, those of the traces. */
  readonly promptTokens?: number;
  readonly outputTokens?: number;
  readonly maxSequences: number;
  readonly prefillChunk: number;
}

export interface CapacityPlan {
  readonly question: CapacityQuestion;
  readonly model: StepModel;
  /** Mean lengths. */
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** For one worker, two, …: the last of them is enough. Undefined where no number is. */
  readonly outlooks: readonly Outlook[] | undefined;
  /** Requests a second that one worker serves within the goal. */
  readonly perWorker: number;
  /** Where the answer lies beyond what was recorded, a sentence each. */
  readonly warnings: readonly string[];
}

/** Beyond this much more than was seen, a fit is an extrapolation. */
const TOLERANCE = 1.25;

/** Undefined where the traces have too few requests. */
export function planCapacity(
  traces: readonly RecordedTrace[],
  question: CapacityQuestion,
  random: () => () => number,
): CapacityPlan | undefined {
  const samples = requestSamples(traces);
  const model = fitStepModel(samples, {
    prefill: recordedSteps(traces, "prefill"),
    decode: recordedSteps(traces, "decode"),
  });
  if (model === undefined) return undefined;
  const lengths = samples.map((sample) => ({
    promptTokens: question.promptTokens ?? sample.promptTokens,
    outputTokens: question.outputTokens ?? sample.outputTokens,
    // Prompts of another length are other prompts: nothing is known of what they share.
    cachedTokens: question.promptTokens === undefined ? sample.cachedTokens : 0,
  }));
  const load: PlannedLoad = { perSecond: question.rate, lengths };
  const goal: Goal = { slos: question.slo, attainment: question.attainment };
  const options = { maxSequences: question.maxSequences, prefillChunk: question.prefillChunk, random };
  const perWorker = ratePerWorker(model, load, goal, options);
  // Where one request alone is too slow, no number of workers helps.
  const outlooks = perWorker === 0 ? undefined : workersFor(model, load, goal, options);
  const mean = (field: "promptTokens" | "outputTokens"): number =>
    lengths.reduce((sum, length) => sum + length[field], 0) / lengths.length;
  return {
    question,
    model,
    promptTokens: mean("promptTokens"),
    outputTokens: mean("outputTokens"),
    outlooks,
    perWorker,
    warnings: outlooks === undefined ? [] : warningsOf(model, outlooks.at(-1)),
  };
}

function warningsOf({ decode, prefill }: StepModel, outlook: Outlook | undefined): string[] {
  if (outlook === undefined) return [];
  const beyond = (needed: number, [, seen]: readonly [number, number], what: string, record: string): string[] =>
    needed > seen * TOLERANCE
      ? [`Extrapolated: ${what} up to ${needed.toFixed(0)}, recorded up to ${seen.toFixed(1)}. Record ${record}.`]
      : [];
  const weak = [
    { name: "decode", fit: decode },
    { name: "prefill", fit: prefill },
  ].filter(({ fit }) => fit.typicalError > 0.25);
  return [
    ...beyond(outlook.mostRows, decode.rows, "requests in one decode step", "a load with more at once"),
    ...beyond(outlook.mostContext, decode.context, "tokens of one request", "longer prompts or answers"),
    ...weak.map(({ name, fit }) => {
      const error = (fit.typicalError * 100).toFixed(0);
      return `The ${name} steps vary by ${error} % around their model: record on a machine that does nothing else.`;
    }),
  ];
}
