import type { EngineClient, EngineLoad, EngineState, EngineStatus } from "../../src/engine/client/client.js";
import type { WireError } from "../../src/errors.js";
import {
  type CancelCause,
  type DeviceChoice,
  type DeviceRequest,
  type EngineRequest,
  type EngineRun,
  type EngineStats,
  type FinishReason,
  type ForwardStats,
  type ModelDescription,
  monotonicMicros,
  type Outcome,
  type PositionLogprobs,
  type RequestEvent,
  type StepStats,
} from "../../src/protocol.js";

export const FAKE_MODEL: ModelDescription = {
  name: "fake",
  dtype: "fp32",
  vocabSize: 257,
  contextLength: 256,
  layers: 2,
  kvHeads: 1,
  headDim: 8,
  kvBytesPerToken: 128,
  kvTensorBytesPerToken: 32,
  weightBytes: 1024,
};

export const FAKE_DEVICE: DeviceChoice = { requested: "auto", provider: "cpu", reason: "this is a test" };

/** One submitted request; the test plays the engine's part. Ends once, like a real one: later events are errors. */
export class FakeRequest {
  ended = false;
  readonly cancels: CancelCause[] = [];
  stops = 0;

  constructor(
    readonly request: EngineRequest,
    private readonly onEvent: (event: RequestEvent) => void,
  ) {}

  get id(): string {
    return this.request.id;
  }

  admit(reusedTokens = 0): this {
    const { submittedAt: start } = this.request;
    const end = monotonicMicros();
    const amounts = { tokens: 1, bytes: 128, reusedTokens, evictedTokens: 0, waitMs: 0, poolBytes: 256 };
    return this.#emit({
      type: "admitted",
      id: this.id,
      queue: { start, end, depth: 0 },
      allocation: { start: end, end: monotonicMicros(), ...amounts, poolUtilization: 0.5 },
    });
  }

  prefill(): this {
    return this.#emit({ type: "prefilled", id: this.id, forward: forward("prefill", this.request.prompt.length) });
  }

  /** The byte-level tokenizer's tokens of this text, one event each. */
  text(text: string): this {
    for (const token of Buffer.from(text)) this.token(token);
    return this;
  }

  token(token: number, logprobs?: PositionLogprobs): this {
    const event = { type: "token", id: this.id, token, at: monotonicMicros() } as const;
    return this.#emit(logprobs === undefined ? event : { ...event, logprobs });
  }

  /** For each token of the prompt but the first (or of a part), a log probability of minus its id, and no alternatives. */
  promptLogprobs(from = 1, to = this.request.prompt.length): this {
    const tokens = this.request.prompt.subarray(from, to);
    const positions = Array.from(tokens, (token) => ({ token, logprob: -token, top: [] }));
    return this.#emit({ type: "prompt_logprobs", id: this.id, positions });
  }

  preempt(): this {
    return this.#emit({ type: "preempted", id: this.id, at: monotonicMicros() });
  }

  finish(reason: FinishReason = "stop"): void {
    this.end({ kind: "finished", reason });
  }

  fail(error: WireError): void {
    this.end({ kind: "failed", error });
  }

  end(outcome: Outcome): void {
    if (this.ended) throw new Error(`request ${this.id} ended twice`);
    this.ended = true;
    this.onEvent({ type: "ended", id: this.id, outcome, at: monotonicMicros(), forward: forward("decode", 1) });
  }

  #emit(event: RequestEvent): this {
    if (this.ended) throw new Error(`request ${this.id} has ended`);
    this.onEvent(event);
    return this;
  }
}

function forward(phase: ForwardStats["phase"], tokens: number): ForwardStats {
  const at = monotonicMicros();
  return { phase, start: at, end: at, steps: 1, tokens, meanBatchSize: 1, maxStepMs: 0, deviceSeconds: 0 };
}

/** An engine whose events the test writes. */
export class FakeEngine implements EngineClient, EngineStatus {
  device: DeviceRequest = "auto";
  state: EngineState = { kind: "ready", model: FAKE_MODEL, device: FAKE_DEVICE };
  stats: EngineStats | undefined = {
    waiting: 0,
    running: 0,
    kvTokensReserved: 64,
    kvTokensTotal: 256,
    kvTokensKept: 32,
    kvTokensEvicted: 16,
    kvBytesAllocated: 4096,
    kvBytesTotal: 8192,
    kvGrowths: 2,
    kvRefusals: 1,
    kvGrowthSeconds: 0.25,
    preemptions: 3,
    expectedStepMs: 12,
    busySeconds: 1.5,
    idleSeconds: 2.5,
    steps: 7,
  };
  /** Whether a cancelled or stopped request ends by itself, at the next turn of the event loop. */
  obeys = true;
  /** Plays every request; without it the test does. */
  play: ((request: FakeRequest) => void) | undefined;
  readonly requests: FakeRequest[] = [];
  readonly #loadListeners: ((load: EngineLoad) => void)[] = [];
  readonly #stateListeners: ((state: EngineState) => void)[] = [];
  readonly #stepListeners: ((step: StepStats, run: EngineRun) => void)[] = [];
  readonly #arrivals: ((request: FakeRequest) => void)[] = [];
  #handedOut = 0;

  get engines(): readonly EngineStatus[] {
    return [this];
  }

  get inFlight(): number {
    return this.requests.filter((request) => !request.ended).length;
  }

  submit(request: EngineRequest, onEvent: (event: RequestEvent) => void): void {
    const fake = new FakeRequest(request, onEvent);
    this.requests.push(fake);
    if (this.play) {
      const { play } = this;
      setImmediate(() => play(fake));
    }
    const waiter = this.#arrivals.shift();
    if (!waiter) return;
    this.#handedOut++;
    waiter(fake);
  }

  /** The next submitted request nobody has asked for yet. */
  nextRequest(): Promise<FakeRequest> {
    const waiting = this.requests[this.#handedOut];
    if (waiting) {
      this.#handedOut++;
      return Promise.resolve(waiting);
    }
    return new Promise((resolve) => this.#arrivals.push(resolve));
  }

  stop(id: string): void {
    const request = this.#running(id);
    if (!request) return;
    request.stops++;
    this.#endSoon(request, { kind: "finished", reason: "stop" });
  }

  cancel(id: string, cause: CancelCause): void {
    const request = this.#running(id);
    if (!request) return;
    request.cancels.push(cause);
    this.#endSoon(request, { kind: "cancelled", cause });
  }

  setState(state: EngineState): void {
    this.state = state;
    for (const listener of this.#stateListeners) listener(state);
  }

  loaded(load: EngineLoad): void {
    for (const listener of this.#loadListeners) listener(load);
  }

  onLoad(listener: (load: EngineLoad) => void): void {
    this.#loadListeners.push(listener);
  }

  onState(listener: (state: EngineState) => void): void {
    this.#stateListeners.push(listener);
  }

  onStep(listener: (step: StepStats, run: EngineRun) => void): void {
    this.#stepListeners.push(listener);
  }

  stepped(step: StepStats, run: EngineRun): void {
    for (const listener of this.#stepListeners) listener(step, run);
  }

  async shutdown(): Promise<void> {}

  #running(id: string): FakeRequest | undefined {
    return this.requests.find((request) => request.id === id && !request.ended);
  }

  #endSoon(request: FakeRequest, outcome: Outcome): void {
    if (!this.obeys) return;
    setImmediate(() => {
      if (!request.ended) request.end(outcome);
    });
  }
}
