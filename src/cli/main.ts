#!/usr/bin/env node
// ONNX Runtime reads this when it loads, in this process and in every child.
process.env.ORT_DISABLE_TELEMETRY = "1";

import { Command, CommanderError, InvalidArgumentError } from "commander";
import { VitrineError } from "../errors.js";
import { PROGRAM_OPTIONS } from "../instrumentation/program/settings.js";
import { addOptions, configOf, givenOptions, normalizeArguments, wholeNumber } from "./arguments.js";
import { addBench } from "./bench.js";
import { addCapacity } from "./bench-capacity.js";
import { addCompare } from "./bench-compare.js";
import { exitFlushed } from "./exit.js";
import { generate } from "./generate.js";
import { programEnvironment, run } from "./run.js";
import { serve } from "./serve.js";
import { VERSION } from "./version.js";

const temperature = (text: string): number => {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0 && value <= 2))
    throw new InvalidArgumentError("expected a number from 0 to 2");
  return value;
};

function program(): Command {
  const vitrine = new Command("vitrine")
    .description("An LLM inference worker you can see through: every request is one Zipkin trace.")
    .version(VERSION)
    .showHelpAfterError("(--help lists what there is)")
    // Options belong to the command they follow: `bench` and `bench plan` both have a --rate.
    .enablePositionalOptions()
    .exitOverride();
  addServe(vitrine);
  addGenerate(vitrine);
  const bench = addBench(vitrine).enablePositionalOptions();
  addCompare(bench);
  addCapacity(bench);
  addRun(vitrine);
  addDoctor(vitrine);
  return vitrine;
}

function addServe(vitrine: Command): void {
  addOptions(vitrine.command("serve").description("serve a model over the OpenAI API"))
    .addHelpText("after", "\nENABLE_ZIPKIN_TRACING=true alone sends traces to http://localhost:9411.")
    .action(async (flags: Record<string, unknown>) => serve(configOf(flags, process.env)));
}

function addGenerate(vitrine: Command): void {
  addOptions(
    vitrine
      .command("generate")
      .description("continue a prompt in the terminal, then draw the request's trace")
      .argument("<prompt...>", "text to continue; quotes keep its spaces")
      .option("--max-tokens <N>", "most tokens to generate", wholeNumber, 200)
      .option("--temperature <T>", "0 is greedy", temperature, 0.8),
    ["model", "device", "dtype", "runtime", "fastInt4", "threads", "traceDetail", "zipkinEndpoint", "serviceName"],
  ).action(
    async (prompt: readonly string[], flags: Record<string, unknown> & { maxTokens: number; temperature: number }) => {
      const { maxTokens, temperature } = flags;
      const config = configOf(flags, { LOG_LEVEL: "error", ...process.env });
      await exitFlushed(await statusOf(generate(config, { prompt: prompt.join(" "), maxTokens, temperature })));
    },
  );
}

function addRun(vitrine: Command): void {
  addOptions(
    vitrine
      .command("run")
      .description("run a Node program with traces of its model calls and HTTP requests, without a change to it")
      .argument("<command...>", "after --: the command, such as node app.js or npm start")
      .passThroughOptions(),
    PROGRAM_OPTIONS,
  ).action(async (command: readonly string[], flags: Record<string, unknown>) =>
    run(command, programEnvironment(givenOptions(flags), process.env)),
  );
}

function addDoctor(vitrine: Command): void {
  addOptions(
    vitrine
      .command("doctor")
      .description("look at everything that serve with the same flags would need, and say how to mend what is amiss"),
  )
    .option("--json", "print what was found as JSON", false)
    .addHelpText("after", "\nExit status: 0 when it could serve, 1 when not.")
    .action(async (flags: Record<string, unknown>) => {
      // Its checks bring in what serving does not need.
      const { doctor } = await import("./doctor.js");
      if (!(await doctor(configOf(flags, process.env), { json: flags.json === true }))) process.exitCode = 1;
    });
}

/** Exit status: 0 done, 1 failed, 2 wrong use. Says why. */
async function statusOf(work: Promise<unknown>): Promise<number> {
  try {
    await work;
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // Commander has already printed its own message.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (error instanceof VitrineError) {
      console.error(`vitrine: ${error.message}`);
      return error.code === "config_invalid" ? 2 : 1;
    }
    console.error(error);
    return 1;
  }
}

// Whoever read our output may leave (`vitrine serve | head -1`); that is no reason to stop serving.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

process.exitCode = await statusOf(program().parseAsync(normalizeArguments(process.argv.slice(2)), { from: "user" }));
