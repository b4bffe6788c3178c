import { type Column, columns, type TerminalStyle } from "../report/columns.js";
import { count, duration, number, percent } from "../report/format.js";
import type { Outlook } from "./capacity.js";
import type { CapacityPlan } from "./plan-capacity.js";
import type { PhaseModel } from "./step-model.js";

/** Smaller numbers of workers that are shown besides the answer. */
const SHOWN_BELOW = 3;

/** The plan for a terminal. Lines without a final newline. */
export function describePlan(plan: CapacityPlan, style: TerminalStyle): string {
  const { model, question, promptTokens, outputTokens, outlooks, perWorker, warnings } = plan;
  const limits = question.slo.map(({ metric, limitMs }) => `${metric} ≤ ${duration(limitMs)}`).join(", ");
  const goal = `${percent(question.attainment)} of the requests within ${limits}`;
  const lengths = `prompts of ${number(promptTokens)} tokens, answers of ${number(outputTokens)}`;
  return [
    "What a step takes, fitted to the traces:",
    describePhase("prefill", model.prefill, "token", "token and token attended to"),
    describePhase("decode", model.decode, "request", "token attended to"),
    `  beside queue and steps, ${duration(model.overheadMs)} a request before its first token`,
    "",
    `${number(question.rate)} requests/s, ${lengths}; ${goal}:`,
    ...answer(plan, style),
    ...(outlooks === undefined
      ? []
      : [`One worker alone holds ${number(perWorker)} requests/s of such lengths within that.`]),
    ...warnings,
  ].join("\n");
}

function describePhase(name: string, model: PhaseModel, each: string, attended: string): string {
  const [fixed = 0, perItem = 0, perAttended = 0] = model.coefficients;
  const terms = [`${duration(fixed)}`, `${micros(perItem)} a ${each}`, `${micros(perAttended)} a ${attended}`];
  const { rSquared, typicalError, observations, outliers, rows, context } = model;
  const left = outliers === 0 ? "" : `, ${outliers} disturbed ones beside`;
  return [
    `  ${name}: ${terms.join(" + ")}`,
    `    R² ${rSquared.toFixed(3)}, typical error ${percent(typicalError)}, from ${count(observations, "observation")}${left}`,
    `    seen: ${range(rows)} requests a step, ${range(context)} tokens of context`,
  ].join("\n");
}

const micros = (ms: number): string => `${number(ms * 1e3)} µs`;
const range = ([from, to]: readonly [number, number]): string => `${number(from)} to ${number(to)}`;

function answer({ outlooks, question }: CapacityPlan, style: TerminalStyle): string[] {
  if (outlooks === undefined) {
    return ["No number of workers is enough: one request by itself takes longer, or more than 256 would be needed."];
  }
  const shown = outlooks.slice(-1 - SHOWN_BELOW);
  const column = (title: string, read: (outlook: Outlook) => string): Column => ({ title, cells: shown.map(read) });
  const spread = ([median, high]: readonly [number, number]): string => `${duration(median)} / ${duration(high)}`;
  const lines = columns(
    [
      column("workers", ({ workers }) => String(workers)),
      column("within", ({ attainment }) => percent(attainment)),
      column("busy", ({ utilization }) => percent(utilization)),
      column("ttft p50 / p95", ({ ttft }) => spread(ttft)),
      column("tpot p50 / p95", ({ tpot }) => spread(tpot)),
      column("e2e p50 / p95", ({ e2e }) => spread(e2e)),
    ],
    style,
  );
  const enough = outlooks.at(-1)?.workers ?? 0;
  return [
    ...lines,
    "",
    `${count(enough, "worker")} ${enough === 1 ? "is" : "are"} enough for ${number(question.rate)} requests/s.`,
  ];
}
