/** A whole benchmark: every load, repeat by repeat, of one target or of two variants in turn. */
import { seededRandom } from "../../../models/tiny/random.js";
import { VitrineError } from "../../errors.js";
import { failureOf } from "../client/failure.js";
import { HttpClient } from "../client/http-client.js";
import { routeOf } from "../client/target.js";
import type { BenchTracing } from "../client/tracing.js";
import { durationOf, summarize } from "../metrics/summary.js";
import type { Load, LoadPoint, RequestRecord } from "../result.js";
import { arrivals } from "./arrivals.js";
import { Budget, type Limit } from "./budget.js";
import { ChatPlayer } from "./chat-player.js";
import type { BenchClock } from "./clock.js";
import { HealthMeter, healthWarnings } from "./health.js";
import { closedLoop, openLoop } from "./loops.js";
import { type BenchPlan, nameOf } from "./plan.js";
import { seedOf } from "./random.js";

/** Where requests go. */
export interface Variant {
  /** Of an A/B run: `tracing=on`. */
  readonly name?: string;
  /** Address of the API, `/v1` included. */
  readonly base: string;
}

/** Hears of a run as it goes on. */
export interface BenchObserver {
  /** A repeat begins; repeat 0 is the warm-up. */
  onRepeat(point: string, repeat: number, repeats: number): void;
  onSend(): void;
  onRecord(record: RequestRecord): void;
}

export interface BenchContext {
  readonly clock: BenchClock;
  readonly tracing: BenchTracing;
  readonly observer: BenchObserver;
  /** What is to be done with a load's results before the next load begins. */
  readonly afterLoad?: (point: LoadPoint, base: string) => Promise<LoadPoint>;
  /** Ends the run: what is under way is left, what was measured is kept. */
  readonly signal: AbortSignal;
}

/** Resolves with a point for each load and variant that was begun. Throws VitrineError where a warm-up gets no answer at all. */
export async function runBench(
  plan: BenchPlan,
  variants: readonly Variant[],
  context: BenchContext,
): Promise<LoadPoint[]> {
  const points: LoadPoint[] = [];
  for (const [index, load] of plan.loads.entries()) {
    const runs = variants.map((variant) => new PointRun(plan, index, load, variant, context));
    try {
      for (const run of runs) await run.warmUp();
      for (let repeat = 0; repeat < plan.repeats; repeat++) {
        // A, B, B, A, …: what drifts, drifts for both alike.
        for (const run of repeat % 2 === 0 ? runs : runs.toReversed()) await run.repeat(repeat);
      }
    } finally {
      for (const run of runs) run.close();
    }
    for (const [index, run] of runs.entries()) {
      const point = run.point();
      if (point !== undefined) points.push((await context.afterLoad?.(point, variants[index]?.base ?? "")) ?? point);
    }
    if (context.signal.aborted) break;
  }
  return points;
}

/** In the place of a repeat's number. */
const WARM_UP = -1;

/** One load on one variant. */
class PointRun {
  readonly #name: string;
  readonly #client: HttpClient;
  readonly #records: RequestRecord[] = [];
  readonly #health = new HealthMeter();

  constructor(
    private readonly plan: BenchPlan,
    private readonly index: number,
    private readonly load: Load,
    private readonly variant: Variant,
    private readonly context: BenchContext,
  ) {
    this.#name = [nameOf(load), ...(variant.name === undefined ? [] : [variant.name])].join(", ");
    const { timeoutMs, play } = plan;
    const url = routeOf(variant.base, play.request.api);
    this.#client = new HttpClient({ url, streaming: play.request.stream, timeoutMs, now: () => context.clock.now() });
  }

  async warmUp(): Promise<void> {
    const { warmup: count } = this.plan;
    if (count === 0 || this.context.signal.aborted) return;
    this.context.observer.onRepeat(this.#name, 0, this.plan.repeats);
    const users = this.load.kind === "closed" ? this.load.concurrency : 1;
    const warmup: Load = { kind: "closed", concurrency: Math.min(users, count) };
    const records = await this.#play(warmup, WARM_UP, { kind: "requests", count });
    const failures = new Set(records.map(({ outcome }) => failureOf(outcome)));
    if (records.length === 0 || failures.has(undefined)) return;
    const what = [...failures].join(", ");
    throw new VitrineError(
      "config_invalid",
      `No request of the warm-up was answered (${what}): check --url, --model and --api, or pass --warmup 0.`,
    );
  }

  async repeat(repeat: number): Promise<void> {
    const { observer, signal } = this.context;
    if (signal.aborted) return;
    observer.onRepeat(this.#name, repeat + 1, this.plan.repeats);
    this.#health.start();
    try {
      this.#records.push(...(await this.#play(this.load, repeat, this.plan.limit)));
    } finally {
      this.#health.stop();
    }
  }

  point(): LoadPoint | undefined {
    if (this.#records.length === 0) return undefined;
    const { variant, load, plan } = this;
    const client = this.#health.read();
    const warnings = [...healthWarnings(client), ...plan.prompts.notes];
    return {
      name: this.#name,
      ...(variant.name === undefined ? {} : { variant: variant.name }),
      load,
      durationMs: durationOf(this.#records),
      requests: this.#records,
      summary: summarize(this.#records, plan.slos),
      client,
      ...(warnings.length === 0 ? {} : { warnings }),
    };
  }

  close(): void {
    this.#client.close();
  }

  async #play(load: Load, repeat: number, limit: Limit): Promise<RequestRecord[]> {
    const { plan, context } = this;
    const { clock, tracing, observer, signal } = context;
    // Variants get the same prompts in the same repeat, and no repeat gets those of another, which may be cached.
    const seed = seedOf(plan.seed, this.index, repeat);
    const records: RequestRecord[] = [];
    const budget = new Budget(limit, clock.now(), signal);
    const player = new ChatPlayer(plan.play, {
      ...{ clock, client: this.#client, tracing, budget, signal, repeat, seed },
      source: plan.prompts.start(),
      path: new URL(routeOf(this.variant.base, plan.play.request.api)).pathname,
      load: this.#name,
      onSend: () => observer.onSend(),
      onRecord: (record, lateMs) => {
        records.push(record);
        this.#health.late(lateMs);
        observer.onRecord(record);
      },
    });
    const loop = { clock, budget, signal };
    if (load.kind === "closed") await closedLoop(load.concurrency, player, loop);
    else await openLoop(this.#times(load, seededRandom(seed)), player, loop, plan.mostAtOnce);
    return records;
  }

  #times(load: Exclude<Load, { kind: "closed" }>, random: () => number): Iterable<number> {
    if (load.kind === "replay") return this.plan.prompts.times ?? [];
    const { perSecond: to, fromPerSecond: from, burstiness } = load;
    const { limit } = this.plan;
    const overMs = limit.kind === "duration" ? limit.ms : (limit.count / (((from ?? to) + to) / 2)) * 1e3;
    return arrivals(
      from === undefined ? { to } : { from, to, overMs },
      burstiness === undefined ? { kind: "constant" } : { kind: "gamma", shape: burstiness },
      random,
    );
  }
}
