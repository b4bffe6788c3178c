/**
 * Services that differ in their tracing alone, under the same load by turns. A server is held (SIGSTOP) while it is not its
 * turn: the batch that falls due five seconds after a span, or the retry, is done in its own time and not in another's.
 */
import { cpus } from "node:os";
import { Random } from "../../../src/engine/sampling/random.js";
import { VitrineProcess } from "../../support/vitrine-process.js";
import { type Collector, type CollectorState, startCollector } from "../collector.js";
import { quantiles } from "../report.js";
import { closedLoop, type Load, openLoop, poissonArrivals, type Work } from "./load.js";
import { cpuMs, goOn, hold, pin, residentMiB } from "./process-usage.js";

export interface Entry {
  readonly name: string;
  /** Entries that name the same one share it, and with it what two starts of one program differ in. */
  readonly server: string;
  readonly flags: readonly string[];
  /** Its requests' own. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** What one turn cost; less is better in all. */
export const METRICS = [
  "throughput",
  "first token p50",
  "first token p99",
  "between tokens p50",
  "between tokens p99",
  "processor time",
  "memory",
] as const;
export type Metric = (typeof METRICS)[number];
export type Turn = Readonly<Partial<Record<Metric, number>>>;

export interface ContestOptions {
  /** Flags of all servers. */
  readonly flags: readonly string[];
  /** The engine gets a processor of its own; the server, its threads and the load share the others. */
  readonly apart: boolean;
  readonly collector: CollectorState;
  readonly work: Work;
  /** Length of the open loop of a turn. Without one turns are short and many, and tell of throughput and processor time alone. */
  readonly openLoopMs?: number;
  readonly seconds: number;
}

/** How much of what a server can do is asked of it by requests that arrive at times of their own. */
const OPEN_LOOP_LOAD = 0.5;
const WARM_UPS = 4;

class Server {
  readonly #pids: readonly number[];

  private constructor(
    private readonly process: VitrineProcess,
    private readonly collector: Collector,
  ) {
    this.#pids = [process.pid, ...process.enginePids];
  }

  static async start(flags: readonly string[], state: CollectorState): Promise<Server> {
    const collector = await startCollector(state);
    // An endpoint of those that do not trace, too, would make them trace.
    const endpoint = flags.includes("off") ? [] : ["--zipkin-endpoint", collector.endpoint];
    const options = { flags: [...endpoint, ...flags], env: { LOG_LEVEL: "silent" } };
    return new Server(await VitrineProcess.start(options), collector);
  }

  setApart(): void {
    pin([this.process.enginePid], "0");
    pin([this.process.pid, process.pid], `1-${cpus().length - 1}`);
  }

  hold(): void {
    hold(this.#pids);
  }

  /** Milliseconds of a closed loop. */
  async warmUp(work: Work): Promise<number> {
    goOn(this.#pids);
    const { ms } = await closedLoop(this.process.url, work);
    this.hold();
    return ms;
  }

  /** `arrivals` are those of its open loop; without them there is none. */
  async turn(work: Work, arrivals: readonly number[] | undefined): Promise<Turn> {
    const before = cpuMs(this.#pids);
    goOn(this.#pids);
    // What a held process finds cold, and what fell due in the meantime: its processor time counts, its speed does not.
    const first = arrivals && (await closedLoop(this.process.url, { ...work, answers: 1 }));
    const closed = await closedLoop(this.process.url, work);
    const open = arrivals && (await openLoop(this.process.url, arrivals, work));
    this.hold();
    const tokens = closed.tokens + (first?.tokens ?? 0) + (open?.tokens ?? 0);
    return {
      throughput: closed.ms / closed.tokens,
      "processor time": ((cpuMs(this.#pids) - before) * 1_000) / tokens,
      memory: residentMiB(this.#pids),
      ...(open === undefined ? {} : latencies(open)),
    };
  }

  async stop(): Promise<void> {
    goOn(this.#pids);
    // Nobody waits for the spans that a hung collector does not take.
    await this.process.kill();
    await this.collector.stop();
  }
}

function latencies({ firstTokens, gaps }: Load): Turn {
  const [first50 = 0, first99 = 0] = quantiles(firstTokens, [0.5, 0.99]);
  const [gap50 = 0, gap99 = 0] = quantiles(gaps, [0.5, 0.99]);
  return {
    ...{ "first token p50": first50, "first token p99": first99 },
    ...{ "between tokens p50": gap50, "between tokens p99": gap99 },
  };
}

/** Starts a server for each name among the entries, and appends every entry's turns to `turns`. */
export async function contest(
  entries: readonly Entry[],
  options: ContestOptions,
  turns: ReadonlyMap<string, Turn[]>,
): Promise<void> {
  const servers = new Map<string, Server>();
  try {
    for (const { server, flags } of entries) {
      if (servers.has(server)) continue;
      const started = await Server.start([...options.flags, ...flags], options.collector);
      if (options.apart) started.setApart();
      servers.set(server, started);
      started.hold();
    }
    await takeTurns(entries, options, servers, turns);
  } finally {
    if (options.apart) pin([process.pid], `0-${cpus().length - 1}`);
    await Promise.all([...servers.values()].map((server) => server.stop()));
  }
}

/** By passes; each goes the other way round than the one before, so that a machine that slows down favours nobody. */
async function takeTurns(
  entries: readonly Entry[],
  { work, openLoopMs, seconds }: ContestOptions,
  servers: ReadonlyMap<string, Server>,
  turns: ReadonlyMap<string, Turn[]>,
): Promise<void> {
  const perSecond = await warmUp([...servers.values()], work);
  const until = performance.now() + seconds * 1_000;
  for (let pass = 0; pass % 2 === 1 || performance.now() < until; pass++) {
    const left = Math.max(0, (until - performance.now()) / 1_000).toFixed(0);
    process.stderr.write(`\r  pass ${pass + 1}, ${left} s left   `);
    const random = Random.seeded(pass);
    const next = () => random.nextFloat();
    const arrivals =
      openLoopMs === undefined ? undefined : poissonArrivals(OPEN_LOOP_LOAD * perSecond, openLoopMs, next);
    for (const { name, server, headers = {} } of pass % 2 === 0 ? entries : entries.toReversed()) {
      const turn = await servers.get(server)?.turn({ ...work, headers }, arrivals);
      if (turn !== undefined) turns.get(name)?.push(turn);
    }
  }
  process.stderr.write("\n");
}

/** Until their code is compiled. Answers a second of one of them at its most. */
async function warmUp(servers: readonly Server[], work: Work): Promise<number> {
  let ms = Number.POSITIVE_INFINITY;
  for (let round = 0; round < WARM_UPS; round++) {
    for (const server of servers) ms = Math.min(ms, await server.warmUp(work));
  }
  return (work.streams * work.answers * 1_000) / ms;
}
