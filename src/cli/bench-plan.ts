import type { Limit } from "../bench/load/budget.js";
import { type BenchPlan, STREAM_ONLY } from "../bench/load/plan.js";
import type { CountText } from "../bench/prompts/chat-plan.js";
import { promptFactory } from "../bench/prompts/prompt-factory.js";
import type { Load } from "../bench/result.js";
import { VitrineError } from "../errors.js";
import { resolveModelDirectory } from "../runtime/files/model-directory.js";
import { loadTokenizer } from "../runtime/text/tokenizer.js";
import type { BenchSettings } from "./bench-options.js";

const DEFAULT_REQUESTS = 100;
const AB_ROUNDS = 4;

/**
 * The plan for a model, which may be known only once the target has answered: what is wrong with the options is told before that.
 * Throws VitrineError `config_invalid` where they contradict each other or a file cannot be used.
 */
export async function benchPlan(settings: BenchSettings): Promise<(model: string) => BenchPlan> {
  checkTogether(settings);
  const { api, turns, sharedPrefix, seed, prompts, replay } = settings;
  const countTokens = await tokenCounter(settings.tokenizer);
  const { temperature, ignoreEos, body: extraBody, maxConcurrency } = settings;
  const chosen = promptFactory({
    ...{ prompts, api, turns, sharedPrefix, seed, lengths: settings.promptTokens },
    ...(replay === undefined ? {} : { replay }),
    ...(countTokens === undefined ? {} : { countTokens }),
  });
  return (model) => ({
    loads: loadsOf(settings),
    limit: limitOf(settings, chosen.times),
    warmup: settings.warmup,
    repeats: settings.repeats ?? (settings.ab === undefined ? 1 : AB_ROUNDS),
    seed,
    ...(maxConcurrency === undefined ? {} : { mostAtOnce: maxConcurrency }),
    timeoutMs: settings.timeout,
    play: {
      request: {
        ...{ api, model, stream: settings.stream === "on", ignoreEos: ignoreEos === "on", extraBody },
        ...(temperature === undefined ? {} : { temperature }),
      },
      maxTokens: settings.maxTokens,
      thinkTimeMs: settings.thinkTime,
      cancelRate: settings.cancelRate,
      cancelAfterMs: settings.cancelAfter,
      propagation: settings.propagation,
      ...(countTokens === undefined ? {} : { countText: countTokens }),
      ...(settings.apiKey === undefined ? {} : { apiKey: settings.apiKey }),
    },
    prompts: chosen,
    slos: settings.slo,
  });
}

function loadsOf(settings: BenchSettings): Load[] {
  const { concurrency, rate, replay, arrivals, burstiness } = settings;
  if (replay !== undefined) return [{ kind: "replay", file: replay }];
  if (rate === undefined) return (concurrency ?? [1]).map((each) => ({ kind: "closed", concurrency: each }));
  return rate.map(({ from, to }) => ({
    kind: "open",
    arrivals: from === undefined ? arrivals : "ramp",
    perSecond: to,
    ...(from === undefined ? {} : { fromPerSecond: from }),
    ...(arrivals === "gamma" ? { burstiness } : {}),
  }));
}

function limitOf({ requests, duration }: BenchSettings, times: readonly number[] | undefined): Limit {
  if (duration !== undefined) return { kind: "duration", ms: duration };
  if (requests !== undefined) return { kind: "requests", count: requests };
  // A recording has its own end; its chats may have several turns.
  return times === undefined
    ? { kind: "requests", count: DEFAULT_REQUESTS }
    : { kind: "requests", count: Number.POSITIVE_INFINITY };
}

async function tokenCounter(directory: string | undefined): Promise<CountText | undefined> {
  if (directory === undefined) return undefined;
  const tokenizer = await loadTokenizer(tokenizerDirectory(directory));
  return (text) => tokenizer.encode(text, { addSpecialTokens: false }).length;
}

function tokenizerDirectory(directory: string): string {
  try {
    return resolveModelDirectory(directory);
  } catch (error) {
    // Its message was made for `--model`, which means something else here.
    if (!(error instanceof VitrineError)) throw error;
    throw new VitrineError("config_invalid", `--tokenizer: ${error.message}`);
  }
}

/** Pairs of options of which only one can hold. */
function checkTogether(settings: BenchSettings): void {
  const { requests, duration, concurrency, rate, replay, maxConcurrency, stream, slo } = settings;
  const given = [concurrency, rate, replay].filter((each) => each !== undefined);
  if (given.length > 1) throw wrong("--concurrency, --rate, --replay: choose one kind of load.");
  if (requests !== undefined && duration !== undefined) throw wrong("--requests, --duration: choose one.");
  if (maxConcurrency !== undefined && rate === undefined && replay === undefined) {
    throw wrong("--max-concurrency is of open loops: it needs --rate or --replay.");
  }
  const unmeasured = slo.find(({ metric }) => STREAM_ONLY.includes(metric));
  if (stream === "off" && unmeasured !== undefined)
    throw wrong(`--slo ${unmeasured.metric}: is not known with --no-stream.`);
}

const wrong = (message: string): VitrineError => new VitrineError("config_invalid", message);
