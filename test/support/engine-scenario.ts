import assert from "node:assert/strict";
import { Engine } from "../../src/engine/engine.js";
import type { RunnerRow } from "../../src/engine/runner.js";
import { Sampler } from "../../src/engine/sampling/sampler.js";
import { Sequence } from "../../src/engine/scheduling/sequence.js";
import { VitrineError } from "../../src/errors.js";
import type { EngineEvent, EngineRequest, RequestEvent, RequestId } from "../../src/protocol.js";
import { isRequestEvent } from "./engine-requests.js";
import { FakeRunner } from "./fake-runner.js";

export type Logits = (history: readonly number[], vocabSize: number) => Float32Array;

/** A request, when it comes, and whether somebody ends it: both in steps of the whole run. */
export interface ScenarioRequest {
  readonly request: EngineRequest;
  readonly arrives: number;
  /** Steps after its arrival. */
  readonly ends?: { readonly after: number; readonly by: "cancel" | "stop" };
}

export interface Scenario {
  readonly maxSequences: number;
  readonly contextLength: number;
  readonly vocabSize: number;
  readonly kvTokens: number | undefined;
  readonly prefillChunk: number;
  readonly targetTpotMs: number | undefined;
  /** Cells that the runner's memory really has. */
  readonly memory: number | undefined;
  readonly rewinds: boolean;
  readonly logits: Logits;
  /** Every run of this number fails; 0: none does. */
  readonly failEvery: number;
  /** A run has memory for so many rows. */
  readonly rowsInMemory?: number | undefined;
  readonly copyFails?: boolean;
  readonly requests: readonly ScenarioRequest[];
}

/** What came of a scenario. */
export interface Played {
  readonly events: readonly EngineEvent[];
  /** Microseconds of all runs together. */
  readonly busy: number;
  readonly runs: number;
  /** Runs that had begun when each request arrived, was cancelled or stopped, and when its end was told. */
  readonly endedIn: ReadonlyMap<RequestId, { readonly asked: number | undefined; readonly told: number }>;
}

/** More steps than this for one token of work is a queue that does not drain. */
const MOST_STEPS_A_TOKEN = 4;

/**
 * Plays a scenario on a real engine over the fake runner, on a clock of its own. Checks after every step that the
 * engine's books agree, and that nothing runs for a request that is gone.
 */
export async function play(scenario: Scenario): Promise<Played> {
  return new ScenarioPlayer(scenario).play();
}

class ScenarioPlayer {
  readonly #events: EngineEvent[] = [];
  readonly #open = new Set<RequestId>();
  /** Told to end, and the step before which that took effect. */
  readonly #asked = new Map<RequestId, number>();
  readonly #endedIn = new Map<RequestId, { readonly asked: number | undefined; readonly told: number }>();
  readonly #arrivals: ScenarioRequest[];
  readonly #orders: { readonly step: number; readonly id: RequestId; readonly by: "cancel" | "stop" }[] = [];
  readonly #runner: FakeRunner;
  readonly #engine: Engine;
  readonly #mostRuns: number;
  #now = 0;
  #busy = 0;
  #runs = 0;

  constructor(private readonly scenario: Scenario) {
    const { requests, maxSequences, kvTokens, prefillChunk, targetTpotMs, memory, ...runner } = scenario;
    this.#arrivals = [...requests].sort((a, b) => a.arrives - b.arrives);
    const work = requests.reduce((sum, { request }) => sum + request.prompt.length + request.maxTokens, 1);
    // Each time that one of them ends, every slot's work may have to be done again.
    this.#mostRuns = MOST_STEPS_A_TOKEN * work * (1 + maxSequences);
    this.#runner = new FakeRunner({
      ...runner,
      ...(memory === undefined ? {} : { memory }),
      beforeRun: (_, rows) => this.#beforeRun(rows),
    });
    this.#engine = new Engine({
      runner: this.#runner,
      maxSequences,
      prefillChunk,
      ...(kvTokens === undefined ? {} : { kvTokens }),
      ...(targetTpotMs === undefined ? {} : { targetTpotMs }),
      clock: () => this.#now,
      turn: async () => this.#engine.checkInvariants(),
      emit: (batch) => this.#receive(batch),
    });
  }

  async play(): Promise<Played> {
    const running = this.#engine.run();
    while (this.#arrivals.length > 0) {
      const next = this.#arrivals[0] as ScenarioRequest;
      this.#dispatchUntil(Math.max(next.arrives, this.#runs));
      // Steps are microtasks here: when the event loop turns, the engine has nothing left to do.
      await Promise.race([running, turn()]);
      assert.equal(this.#open.size, 0, `the engine sleeps while ${[...this.#open]} wait`);
    }
    this.#engine.dispatch({ type: "shutdown" });
    await running;
    return { events: this.#events, busy: this.#busy, runs: this.#runs, endedIn: this.#endedIn };
  }

  #dispatchUntil(step: number): void {
    while ((this.#arrivals[0]?.arrives ?? Number.POSITIVE_INFINITY) <= step) {
      const { request, ends } = this.#arrivals.shift() as ScenarioRequest;
      this.#open.add(request.id);
      this.#engine.dispatch({ type: "submit", request });
      if (ends !== undefined) this.#orders.push({ step: step + ends.after, id: request.id, by: ends.by });
    }
    for (const { id, by } of this.#orders.filter((order) => order.step === step && this.#open.has(order.id))) {
      this.#asked.set(id, this.#runs);
      this.#engine.dispatch(by === "stop" ? { type: "stop", id } : { type: "cancel", id, cause: "client_gone" });
    }
  }

  /** Time passes, and somebody may come or go: commands of this run take effect before the next. */
  #beforeRun(rows: readonly RunnerRow[]): void {
    const run = ++this.#runs;
    assert.ok(run <= this.#mostRuns, "the queue does not drain");
    const alive = [...this.#open].filter((id) => (this.#asked.get(id) ?? run) >= run - 1);
    assert.ok(rows.length <= alive.length, "a step has rows of requests that are gone");
    const tokens = rows.reduce((sum, row) => sum + row.tokens.length, 0);
    const took = 900 + 100 * rows.length + 40 * tokens + (run % 7) * 13;
    this.#now += took;
    this.#busy += took;
    this.#dispatchUntil(run);
    const { failEvery, rowsInMemory = Number.POSITIVE_INFINITY } = this.scenario;
    if (rows.length > rowsInMemory) throw new VitrineError("out_of_memory", "no memory for so many rows");
    if (failEvery > 0 && run % failEvery === 0) throw new VitrineError("inference_failed", "a failing run");
  }

  #receive(batch: readonly EngineEvent[]): void {
    assert.ok(batch.length > 0, "an empty message");
    this.#engine.checkInvariants();
    this.#events.push(...batch);
    for (const event of batch.filter(isRequestEvent)) {
      assert.ok(this.#open.has(event.id), `${event.type} of ${event.id}, which has ended`);
      if (event.type !== "ended") continue;
      this.#open.delete(event.id);
      this.#endedIn.set(event.id, { asked: this.#asked.get(event.id), told: this.#runs });
    }
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A request's text by itself: the sampler's loop over the model's logits, without any engine. */
export function textAlone(request: EngineRequest, logits: Logits, vocabSize: number) {
  const sampler = new Sampler(vocabSize);
  const sequence = new Sequence(request, 0, 0);
  const tokens: number[] = [];
  while (tokens.length < request.maxTokens) {
    let token: number;
    try {
      token = sampler.sample(logits([...sequence.tokens.view()], vocabSize), sequence);
    } catch {
      return { tokens, end: "failed" } as const;
    }
    if (request.stopTokenIds.includes(token)) return { tokens, end: "stop" } as const;
    sequence.accept(token);
    tokens.push(token);
  }
  return { tokens, end: "length" } as const;
}

/** Each request's events, in order. */
export function eventsById(events: readonly EngineEvent[]): ReadonlyMap<RequestId, RequestEvent[]> {
  const byId = new Map<RequestId, RequestEvent[]>();
  for (const event of events.filter(isRequestEvent)) {
    const own = byId.get(event.id);
    if (own === undefined) byId.set(event.id, [event]);
    else own.push(event);
  }
  return byId;
}
