import type { PromptSource } from "../prompts/chat-plan.js";
import type { LatencyName, Load, Slo } from "../result.js";
import type { Limit } from "./budget.js";
import type { PlayOptions } from "./chat-player.js";

/** A benchmark, as it was asked for. */
export interface BenchPlan {
  readonly loads: readonly Load[];
  readonly limit: Limit;
  /** Requests before each load that are not counted. */
  readonly warmup: number;
  readonly repeats: number;
  readonly seed: number;
  /** Of an open loop: what finds no room waits. */
  readonly mostAtOnce?: number;
  readonly timeoutMs: number;
  readonly play: PlayOptions;
  readonly prompts: PromptFactory;
  readonly slos: readonly Slo[];
}

export interface PromptFactory {
  /** Begins the prompts of one repeat. */
  start(): PromptSource;
  /** Of a replay: when each chat is due, in milliseconds. */
  readonly times?: readonly number[];
  /** What a reader has to know of the prompts. */
  readonly notes: readonly string[];
}

/** `concurrency 4`, `rate 10/s`, `rate 1..20/s constant`. */
export function nameOf(load: Load): string {
  switch (load.kind) {
    case "closed":
      return `concurrency ${load.concurrency}`;
    case "replay":
      return `replay ${load.file}`;
    case "open": {
      const from = load.fromPerSecond === undefined ? "" : `${load.fromPerSecond}..`;
      const { burstiness } = load;
      const spacing = burstiness === undefined ? " constant" : burstiness === 1 ? "" : ` burstiness ${burstiness}`;
      return `rate ${from}${load.perSecond}/s${spacing}`;
    }
  }
}

/** Which latencies only a stream has. */
export const STREAM_ONLY: readonly LatencyName[] = ["ttft", "tpot", "itl"];
