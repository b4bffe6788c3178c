import { endOf, numberTag, type RecordedSpan, type RecordedTrace } from "../traces/zipkin-json.js";
import type { StepSample } from "./step-samples.js";

/**
 * Steps as workers with `--trace-detail step` record them, a span `engine.step` each: better known than from the requests
 * that were in them. What the engine does between a step and the next counts with it, as long as the next follows at once.
 */
export function recordedSteps(traces: readonly RecordedTrace[], phase: "prefill" | "decode"): StepSample[] {
  const steps = traces.flat().filter(({ name }) => name === "engine.step");
  const engines = new Map<string, RecordedSpan[]>();
  for (const step of steps.sort((a, b) => a.timestamp - b.timestamp)) {
    // The id of a step's trace begins with digits of the engine's run; the step's number follows.
    const run = step.traceId.slice(0, 5);
    const own = engines.get(run);
    if (own === undefined) engines.set(run, [step]);
    else own.push(step);
  }
  return [...engines.values()].flatMap((own) =>
    own.flatMap((step, index) => (step.tags["ai.phase"] === phase ? (sampleOf(step, own[index + 1]) ?? []) : [])),
  );
}

function sampleOf(step: RecordedSpan, next: RecordedSpan | undefined): StepSample | undefined {
  const names = ["ai.batch.size", "ai.tokens", "ai.step.context_tokens"];
  const [rows, tokens, context] = names.map((name) => numberTag(step, name));
  if (!rows || !tokens || !context || step.tags.error !== undefined) return undefined;
  const gap = next === undefined ? Number.POSITIVE_INFINITY : next.timestamp - endOf(step);
  const ms = (step.duration + (gap >= 0 && gap < step.duration ? gap : 0)) / 1e3;
  // A prefill's sample is a request's share of its step: here the whole of it, as if of one.
  if (step.tags["ai.phase"] === "prefill") return { steps: 1, rows: 1, tokens, context: context / rows, ms };
  return { steps: 1, rows, tokens: 1, context: context / rows, ms };
}
