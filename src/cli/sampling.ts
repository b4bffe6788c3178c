/** Which traces are kept, as configured: from the command line and the rules file, read again at SIGHUP. */
import { readFileSync } from "node:fs";
import type { Logger } from "pino";
import type { Config } from "../config.js";
import { fileProblem, VitrineError } from "../errors.js";
import { parseSamplingPolicy, type SamplingPolicy } from "../tracing/context/sampling-policy.js";
import type { TailPolicy } from "../tracing/context/tail-policy.js";
import type { Tracing } from "../tracing/tracing.js";

/** What the command line says, which a file or an admin's document completes. */
export function defaultPolicy({ sampleRate, sampleLimit }: Config): SamplingPolicy {
  return { rate: sampleRate, limit: sampleLimit ?? null, rules: [] };
}

/** @throws VitrineError `config_invalid` naming the file and what is wrong with it */
export function readPolicy(config: Config): SamplingPolicy {
  const file = config.samplingRules;
  const defaults = defaultPolicy(config);
  return file === undefined ? defaults : parseSamplingPolicy(readText(file), `--sampling-rules ${file}`, defaults);
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (thrown) {
    throw new VitrineError("config_invalid", `--sampling-rules ${file}: cannot be read, ${fileProblem(thrown)}.`, {
      param: "--sampling-rules",
    });
  }
}

/** Puts the file's rules into force; a bad file leaves those that hold, and the log says why. */
function reloadPolicy(config: Config, tracing: Tracing, logger: Logger): void {
  try {
    tracing.sampling = readPolicy(config);
    const { rate, limit, rules } = tracing.sampling;
    logger.info({ rate, limit, rules: rules.length }, "sampling rules read");
  } catch (thrown) {
    logger.error(`${VitrineError.from(thrown, "config_invalid").message} The rules that held before still hold.`);
  }
}

/** Reads the rules again at every SIGHUP; without a file, SIGHUP ends the process as it always does. Returns what stops that. */
export function reloadAtHangup(config: Config, tracing: Tracing, logger: Logger): () => void {
  if (config.samplingRules === undefined) return () => {};
  const reload = (): void => reloadPolicy(config, tracing, logger);
  process.on("SIGHUP", reload);
  return () => void process.off("SIGHUP", reload);
}

export function tailPolicy({ keepFailed, slowTtft, slowTotal, requestTimeout }: Config): TailPolicy {
  return {
    failed: keepFailed === "on",
    ...(slowTtft === undefined ? {} : { slowTtftMs: slowTtft }),
    ...(slowTotal === undefined ? {} : { slowTotalMs: slowTotal }),
    longestMs: requestTimeout,
  };
}
