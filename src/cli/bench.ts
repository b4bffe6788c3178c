import type { Command, Option } from "commander";
import type { OptionRow } from "../options.js";
import { addRow } from "./arguments.js";
import { BENCH_OPTIONS, benchSettings } from "./bench-options.js";

const METRICS = `
Of every request that was answered, in milliseconds from when it was meant to be sent (in a closed loop: from when its user
became free), so that a target that stalls is charged for the requests that it kept from being sent on time:
  queue  until it was sent: what the harness or --max-concurrency held it back
  ttft   until the first chunk with text arrived
  e2e    until the answer was complete
  tpot   from the first chunk to the end, over the tokens (of the target's usage) after the first
  itl    gaps between chunks with text; where a target puts several tokens in a chunk, ITL counts chunks and TPOT tokens
Percentiles are means over repeats, with Student's 95 % confidence interval. Goodput counts requests that keep every --slo.`;

/** Adds `vitrine bench`. What it runs is loaded when it is run: other commands start without it. */
export function addBench(vitrine: Command): Command {
  const command = vitrine
    .command("bench")
    .description("measure an OpenAI-compatible service under load, each request traced")
    .argument("[flags...]", "with --ab, after --: flags of `vitrine serve` for both servers")
    .addHelpText("after", METRICS);
  for (const row of Object.values<OptionRow>(BENCH_OPTIONS)) addRow(command, row);
  const slo = command.options.find(({ long }) => long === "--slo") as Option;
  slo.argParser((value: string, before: unknown) => [...(Array.isArray(before) ? before : []), value]);
  return command.action(async (flags: readonly string[], given: Record<string, unknown>) => {
    const { bench } = await import("./bench-session.js");
    process.exitCode = await bench(benchSettings(given, process.env), flags);
  });
}
