import { quantileSorted } from "simple-statistics";
import type { Slo } from "../result.js";
import type { StepModel } from "./step-model.js";
import { type PlannedRequest, type ServedRequest, SimulatedWorker, type WorkerLimits } from "./worker.js";

export interface PlannedLoad {
  /** Requests a second, arriving as a Poisson process. */
  readonly perSecond: number;
  /** Lengths to draw from, evenly. */
  readonly lengths: readonly Omit<PlannedRequest, "arrival">[];
}

export interface Goal {
  readonly slos: readonly Slo[];
  /** Share of the requests that are to meet all of them. */
  readonly attainment: number;
}

/** What so many workers make of a load. */
export interface Outlook {
  readonly workers: number;
  readonly perSecond: number;
  readonly attainment: number;
  /** 50th and 95th percentile of a request, in milliseconds; of what there is. */
  readonly ttft: readonly [number, number];
  readonly tpot: readonly [number, number];
  readonly e2e: readonly [number, number];
  /** Share of the time that a worker is in a step. */
  readonly utilization: number;
  /** Most requests in one step, and tokens that one attended to. */
  readonly mostRows: number;
  readonly mostContext: number;
}

export type SimulationOptions = WorkerLimits & {
  /** A new sequence of random numbers, the same each time. */
  readonly random: () => () => number;
};

const LEAST_REQUESTS = 3_000;
const MOST_REQUESTS = 50_000;
/** Played at least, so that a queue that slowly grows is seen to. */
const LEAST_SECONDS = 120;
/** Share that is not counted: until the queues are as long as they get. */
const WARM_UP = 0.1;
const MOST_WORKERS = 256;
const HALVINGS = 12;

/** Numbers of workers in order, the last of which is the fewest that meet the goal; undefined beyond all bounds. */
export function workersFor(model: StepModel, load: PlannedLoad, goal: Goal, options: SimulationOptions) {
  const perWorker = ratePerWorker(model, load, goal, options);
  const outlook = (workers: number): Outlook => simulate(model, load, workers, goal.slos, options);
  const meets = ({ attainment }: Outlook): boolean => attainment >= goal.attainment;
  // Many share a load better than one: the answer lies near what they hold one by one, and rather below.
  const outlooks = [outlook(Math.min(MOST_WORKERS, Math.max(1, Math.floor((0.9 * load.perSecond) / perWorker))))];
  for (let last = outlooks[0] as Outlook; !meets(last); outlooks.push(last)) {
    if (last.workers === MOST_WORKERS) return undefined;
    last = outlook(last.workers + 1);
  }
  for (let first = outlooks[0] as Outlook; meets(first) && first.workers > 1; outlooks.unshift(first)) {
    first = outlook(first.workers - 1);
  }
  return outlooks.slice(0, outlooks.findIndex(meets) + 1);
}

/** Most requests a second of such lengths that one worker serves within the goal; 0 where one by one is too many. */
export function ratePerWorker(model: StepModel, load: PlannedLoad, goal: Goal, options: SimulationOptions): number {
  const meets = (perSecond: number): boolean =>
    simulate(model, { ...load, perSecond }, 1, goal.slos, options).attainment >= goal.attainment;
  let [held, missed] = [0, load.perSecond];
  while (meets(missed) && missed < 1e6) [held, missed] = [missed, missed * 2];
  for (let halving = 0; halving < HALVINGS; halving++) {
    const middle = (held + missed) / 2;
    if (meets(middle)) held = middle;
    else missed = middle;
  }
  return held;
}

/** Plays the load on so many workers; each request goes to the one with the fewest. */
export function simulate(
  model: StepModel,
  load: PlannedLoad,
  workers: number,
  slos: readonly Slo[],
  options: SimulationOptions,
): Outlook {
  const requests = arrivals(load, options.random());
  const results: ServedRequest[] = [];
  const counted = new Set(requests.slice(Math.floor(WARM_UP * requests.length)));
  const served = (request: PlannedRequest, result: ServedRequest): void => {
    if (counted.has(request)) results.push(result);
  };
  const all = Array.from({ length: workers }, () => new SimulatedWorker(model, options, served));
  for (const request of requests) {
    for (const worker of all) worker.advance(request.arrival);
    const [first, ...others] = all as [SimulatedWorker, ...SimulatedWorker[]];
    others.reduce((least, worker) => (worker.load < least.load ? worker : least), first).submit(request);
  }
  const span = requests.at(-1)?.arrival ?? 1;
  const busy = all.reduce((sum, worker) => sum + worker.busyMs, 0);
  for (const worker of all) worker.advance(Number.POSITIVE_INFINITY);
  return {
    workers,
    perSecond: load.perSecond,
    attainment: results.filter((result) => meetsAll(result, slos)).length / results.length,
    ttft: spreadOf(results.map(({ ttft }) => ttft)),
    tpot: spreadOf(results.flatMap(({ tpot }) => tpot ?? [])),
    e2e: spreadOf(results.map(({ e2e }) => e2e)),
    utilization: Math.min(1, busy / (span * workers)),
    mostRows: Math.max(...all.map(({ mostRows }) => mostRows)),
    mostContext: Math.max(...all.map(({ mostContext }) => mostContext)),
  };
}

function arrivals({ perSecond, lengths }: PlannedLoad, random: () => number): PlannedRequest[] {
  let arrival = 0;
  const count = Math.min(MOST_REQUESTS, Math.max(LEAST_REQUESTS, Math.ceil(perSecond * LEAST_SECONDS)));
  return Array.from({ length: count }, () => {
    arrival -= (Math.log(1 - random()) / perSecond) * 1e3;
    const length = lengths[Math.floor(random() * lengths.length)] ?? {
      promptTokens: 1,
      outputTokens: 1,
      cachedTokens: 0,
    };
    const promptTokens = Math.max(1, length.promptTokens);
    const cachedTokens = Math.min(promptTokens - 1, length.cachedTokens);
    return { arrival, promptTokens, cachedTokens, outputTokens: Math.max(1, length.outputTokens) };
  });
}

function meetsAll(result: ServedRequest, slos: readonly Slo[]): boolean {
  return slos.every(({ metric, limitMs }) => {
    const value = metric === "ttft" || metric === "tpot" || metric === "e2e" ? result[metric] : undefined;
    return value === undefined || value <= limitMs;
  });
}

function spreadOf(values: number[]): readonly [number, number] {
  const sorted = values.sort((a, b) => a - b);
  return sorted.length === 0 ? [0, 0] : [quantileSorted(sorted, 0.5), quantileSorted(sorted, 0.95)];
}
