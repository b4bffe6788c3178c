import { type Fit, fitNonNegative, type Observation, predict, qualityOf } from "./non-negative-fit.js";
import type { RequestSample, StepSample } from "./step-samples.js";

/** A phase's steps: milliseconds from the number of requests, the tokens fed, and what these attend to. */
export interface PhaseModel extends Fit {
  readonly observations: number;
  /** Left out as disturbed by something else. */
  readonly outliers: number;
  /** What was seen, beyond which a prediction is a guess. */
  readonly rows: Range;
  readonly context: Range;
}

export type Range = readonly [least: number, most: number];

/**
 * What a step takes: weights are read once a step, each token costs its products, and attention its tokens times the tokens
 * before them. Prefills and decode steps have a model each, as their kernels differ.
 */
export interface StepModel {
  readonly prefill: PhaseModel;
  readonly decode: PhaseModel;
  /** A request's time outside of queue and steps, before its first token: milliseconds, the median. */
  readonly overheadMs: number;
}

/** Fewer requests say nothing. */
const ENOUGH = 10;
/** A step that takes this many times what it should was disturbed: the machine was busy, or code was compiled. */
const DISTURBED = 3;
const ROUNDS = 20;
/** Errors up to so many times the median one count in full. */
const TYPICAL = 1.5;

/** Undefined where too few requests are there to learn from. `steps` are those recorded one by one, if any. */
export function fitStepModel(
  samples: readonly RequestSample[],
  steps: { readonly prefill: readonly StepSample[]; readonly decode: readonly StepSample[] } = {
    prefill: [],
    decode: [],
  },
): StepModel | undefined {
  const better = (own: readonly StepSample[], of: readonly StepSample[]) => (own.length >= ENOUGH ? own : of);
  const prefills = better(
    steps.prefill,
    samples.map(({ prefill }) => prefill),
  );
  const decodes = better(
    steps.decode,
    samples.flatMap(({ decode }) => decode ?? []),
  );
  if (samples.length < ENOUGH || decodes.length < ENOUGH) return undefined;
  const overheads = samples.map(({ overheadMs }) => overheadMs).sort((a, b) => a - b);
  return {
    prefill: fitPhase(prefills, prefillShare),
    decode: fitPhase(decodes, ({ rows, context }) => decodeFeatures(rows, rows * context)),
    overheadMs: overheads[Math.floor(overheads.length / 2)] ?? 0,
  };
}

const decodeFeatures = (rows: number, attended: number): number[] => [1, rows, attended];
/** A step's fixed part is shared by tokens; those who share a step are taken to be alike. */
const prefillShare = ({ rows, tokens, context }: StepSample): number[] => [1 / rows, tokens, tokens * context];

export function decodeMs({ decode }: StepModel, rows: number, attended: number): number {
  return predict(decode.coefficients, decodeFeatures(rows, attended));
}

/** @param attended over all rows, tokens fed times tokens attended to */
export function prefillMs({ prefill }: StepModel, tokens: number, attended: number): number {
  return predict(prefill.coefficients, [1, tokens, attended]);
}

function fitPhase(samples: readonly StepSample[], featuresOf: (sample: StepSample) => number[]): PhaseModel {
  const all = samples.map((sample): Observation & { sample: StepSample } => {
    return { features: featuresOf(sample), value: sample.ms, weight: sample.steps, sample };
  });
  const coefficients = robustFit(all);
  const kept = all.filter(({ features, value }) => value <= DISTURBED * predict(coefficients, features));
  return {
    coefficients,
    ...qualityOf(kept, coefficients),
    observations: kept.length,
    outliers: all.length - kept.length,
    rows: rangeOf(kept.map(({ sample }) => sample.rows)),
    context: rangeOf(kept.map(({ sample }) => sample.context)),
  };
}

/**
 * Least squares of the relative errors by iterated weights (Huber, 1964): what lies further off than is typical pulls no harder
 * than what lies just so far. A machine that is disturbed makes steps longer, never shorter, and a plain mean would follow.
 */
function robustFit(all: readonly Observation[]): readonly number[] {
  let { coefficients, typicalError } = fitNonNegative(all);
  for (let round = 0; round < ROUNDS; round++) {
    const limit = Math.max(1e-6, TYPICAL * typicalError);
    const weighted = all.map((one) => {
      const expected = Math.max(predict(coefficients, one.features), one.value / 100);
      const error = Math.abs(one.value / expected - 1);
      return { ...one, weight: (one.weight / expected ** 2) * Math.min(1, limit / error) };
    });
    ({ coefficients, typicalError } = fitNonNegative(weighted));
  }
  return coefficients;
}

const rangeOf = (values: readonly number[]): Range => [Math.min(...values), Math.max(...values)];
