import { decodeMs, prefillMs, type StepModel } from "./step-model.js";

export interface PlannedRequest {
  /** Milliseconds. */
  readonly arrival: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Of the prompt, what the cache has already; fewer than all. */
  readonly cachedTokens: number;
}

/** What became of one, in milliseconds from its arrival. */
export interface ServedRequest {
  readonly ttft: number;
  /** Absent where there is one token only. */
  readonly tpot?: number;
  readonly e2e: number;
}

/** As the engine's options of the same names. */
export interface WorkerLimits {
  readonly maxSequences: number;
  readonly prefillChunk: number;
}

interface Running {
  readonly request: PlannedRequest;
  cached: number;
  produced: number;
  firstToken: number;
}

/**
 * One engine, step by step, with the scheduler's policy: chunks of prompts and decode steps in turn, first come, first
 * served. Its cache never runs short, it shares no more of prompts than the requests say, and no tokens are guessed ahead.
 */
export class SimulatedWorker {
  #now = 0;
  #lastPhase: "prefill" | "decode" = "decode";
  #waiting: PlannedRequest[] = [];
  /** Those before it have been taken: in an overload there are too many to move up. */
  #taken = 0;
  #prefilling: Running[] = [];
  #decoding: Running[] = [];
  /** Time spent in steps. */
  busyMs = 0;
  /** Most requests that one decode step fed, and the most tokens that one of them attended to. */
  mostRows = 0;
  mostContext = 0;

  constructor(
    private readonly model: StepModel,
    private readonly limits: WorkerLimits,
    private readonly served: (request: PlannedRequest, result: ServedRequest) => void,
  ) {}

  get load(): number {
    return this.#waiting.length - this.#taken + this.#prefilling.length + this.#decoding.length;
  }

  submit(request: PlannedRequest): void {
    if (this.load === 0) this.#now = Math.max(this.#now, request.arrival);
    if (this.#taken === this.#waiting.length) [this.#waiting, this.#taken] = [[], 0];
    this.#waiting.push(request);
  }

  /** Runs all steps that begin before `time`. */
  advance(time: number): void {
    while (this.load > 0 && this.#now < time) this.#step();
  }

  #step(): void {
    const prefilled = this.#lastPhase === "decode" && this.#prefill();
    if (!prefilled && !this.#decode()) this.#prefill();
  }

  #spend(ms: number): void {
    this.#now += ms;
    this.busyMs += ms;
  }

  #prefill(): boolean {
    let left = this.limits.prefillChunk;
    let [tokens, attended] = [0, 0];
    const fed: [Running, number][] = [];
    const feed = (running: Running): void => {
      const count = Math.min(left, running.request.promptTokens - running.cached);
      fed.push([running, count]);
      left -= count;
      tokens += count;
      attended += count * (running.cached + count);
    };
    for (const running of this.#prefilling) if (left > 0) feed(running);
    while (left > 0 && this.#prefilling.length + this.#decoding.length < this.limits.maxSequences) {
      const request = this.#waiting[this.#taken];
      if (request === undefined) break;
      this.#taken++;
      const running = { request, cached: request.cachedTokens, produced: 0, firstToken: 0 };
      this.#prefilling.push(running);
      feed(running);
    }
    if (fed.length === 0) return false;
    this.#spend(prefillMs(this.model, tokens, attended));
    this.#lastPhase = "prefill";
    for (const [running, count] of fed) {
      running.cached += count;
      if (running.cached < running.request.promptTokens) continue;
      running.firstToken = this.#now;
      this.#decoding.push(running);
    }
    this.#prefilling = this.#prefilling.filter(({ cached, request }) => cached < request.promptTokens);
    this.#produce(fed.map(([running]) => running).filter(({ firstToken }) => firstToken > 0));
    return true;
  }

  #decode(): boolean {
    if (this.#decoding.length === 0) return false;
    const attended = this.#decoding.reduce((sum, { request, produced }) => sum + request.promptTokens + produced, 0);
    this.mostRows = Math.max(this.mostRows, this.#decoding.length);
    this.#spend(decodeMs(this.model, this.#decoding.length, attended));
    this.#lastPhase = "decode";
    this.#produce(this.#decoding);
    return true;
  }

  /** Each has one token more; those that have all are done. */
  #produce(all: readonly Running[]): void {
    for (const running of all) running.produced++;
    const done = this.#decoding.filter(({ produced, request }) => produced >= request.outputTokens);
    if (done.length === 0) return;
    this.#decoding = this.#decoding.filter(({ produced, request }) => produced < request.outputTokens);
    for (const { request, firstToken } of done) this.#finish(request, firstToken);
  }

  #finish(request: PlannedRequest, firstToken: number): void {
    const { arrival, promptTokens, outputTokens } = request;
    this.mostContext = Math.max(this.mostContext, promptTokens + outputTokens);
    const before = this.model.overheadMs - arrival;
    const tpot = outputTokens > 1 ? { tpot: (this.#now - firstToken) / (outputTokens - 1) } : {};
    this.served(request, { ttft: firstToken + before, e2e: this.#now + before, ...tpot });
  }
}
