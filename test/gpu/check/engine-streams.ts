import { Engine } from "../../../src/engine/engine.js";
import type { ModelRunner } from "../../../src/engine/runner.js";
import {
  type AllocationStats,
  type CacheGrowth,
  type EngineEvent,
  type ModelDescription,
  monotonicMicros,
  type RequestEvent,
} from "../../../src/protocol.js";
import { engineRequest, GREEDY, growthsOf } from "../../support/engine-requests.js";

/** Prompts go at once: steps of the streams between their pieces would take minutes where a step copies every cache. */
const WHOLE_PROMPT = 4096;
/** The candidates that a device offers hold it. */
const TOP_K = 50;

export interface StreamsMeasure {
  readonly tokensPerSecond: number;
  /** Wall clock of one run of the runner and what goes with it, milliseconds. */
  readonly stepMs: number;
  /** Share of it in which the runner did not run: planning, sampling, events. */
  readonly engineShare: number;
  /** What the first of them was given of the KV cache. */
  readonly allocation: AllocationStats;
  /** Each time that the cache's memory grew, or should have. */
  readonly growths: readonly CacheGrowth[];
}

interface Spent {
  readonly at: number;
  readonly ranMs: number;
  readonly runs: number;
}

/** The engine over a runner, in this process, and streams side by side. */
export class EngineStreams {
  readonly #engine: Engine;
  readonly #model: ModelDescription;
  readonly #listeners = new Map<string, (event: RequestEvent) => void>();
  #requests = 0;
  /** Milliseconds in which the runner ran, and how often. */
  #ranMs = 0;
  #runs = 0;

  /** Replaces the runner's `run` by one that is timed. */
  constructor(runner: ModelRunner, maxSequences: number) {
    const { run } = runner;
    runner.run = async (rows) => {
      const start = performance.now();
      const logits = await run.call(runner, rows);
      this.#ranMs += performance.now() - start;
      this.#runs++;
      return logits;
    };
    this.#model = runner.model;
    const emit = (events: readonly EngineEvent[]) => this.#receive(events);
    this.#engine = new Engine({ runner, maxSequences, prefillChunk: WHOLE_PROMPT, clock: monotonicMicros, emit });
    void this.#engine.run();
  }

  /** Decodes `steps` tokens of each stream; the clock starts when the last one has its first. */
  async measure(streams: number, context: number, steps: number): Promise<StreamsMeasure> {
    const started = new Set<string>();
    const wanted = streams * steps;
    let allocation: AllocationStats | undefined;
    const growths: CacheGrowth[] = [];
    let before = this.#spent();
    let tokens = 0;
    const spent = await new Promise<Spent>((resolve, reject) => {
      const hear = (event: RequestEvent): void => {
        if (event.type === "admitted") allocation ??= event.allocation;
        growths.push(...growthsOf([event]));
        if (event.type === "ended" && event.outcome.kind === "failed") reject(new Error(event.outcome.error.message));
        if (event.type !== "token" || tokens >= wanted) return;
        if (started.size < streams) {
          started.add(event.id);
          before = this.#spent();
        } else if (++tokens === wanted) {
          for (const id of ids) this.#engine.dispatch({ type: "cancel", id, cause: "client_gone" });
          resolve(this.#spent());
        }
      };
      const ids = Array.from({ length: streams }, () => this.#submit(this.#prompt(context), hear));
    });
    const ms = spent.at - before.at;
    return {
      tokensPerSecond: (wanted * 1000) / ms,
      stepMs: ms / (spent.runs - before.runs),
      engineShare: 1 - (spent.ranMs - before.ranMs) / ms,
      allocation: allocation as AllocationStats,
      growths,
    };
  }

  #spent(): Spent {
    return { at: performance.now(), ranMs: this.#ranMs, runs: this.#runs };
  }

  #prompt(tokens: number): Int32Array {
    return Int32Array.from({ length: tokens }, () => Math.floor(Math.random() * this.#model.vocabSize));
  }

  #submit(prompt: Int32Array, listener: (event: RequestEvent) => void): string {
    const maxTokens = this.#model.contextLength - prompt.length;
    const id = `r${this.#requests++}`;
    // Greedy, random weights soon repeat themselves, and the engine would guess ahead.
    const sampling = { ...GREEDY, temperature: 1, topK: TOP_K, seed: this.#requests };
    this.#listeners.set(id, listener);
    this.#engine.dispatch({ type: "submit", request: engineRequest({ id, prompt, maxTokens, sampling }) });
    return id;
  }

  #receive(events: readonly EngineEvent[]): void {
    for (const event of events) {
      if (!("id" in event)) continue;
      this.#listeners.get(event.id)?.(event);
      if (event.type === "ended") this.#listeners.delete(event.id);
    }
  }
}
