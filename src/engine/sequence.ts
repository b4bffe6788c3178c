import type { EngineRequest, Micros, RequestId, SamplingParams } from "../protocol.js";
import { ForwardTimings, type StepTiming } from "./forward-timings.js";
import { Random } from "./random.js";
import type { SamplingState } from "./sampler.js";
import { TokenCounts } from "./token-counts.js";

/** waiting: in the queue. prefill: holds a slot, its prompt is not in it yet. decode: feeds its last token. */
export type SequenceState = "waiting" | "prefill" | "decode" | "ended";

/** One request on its way through the engine. The scheduler alone changes it. */
export class Sequence implements SamplingState {
  state: SequenceState = "waiting";
  /** The KV slot it holds; undefined while waiting and once ended. */
  slot: number | undefined;
  /** Tokens of it that its slot holds. */
  cached = 0;
  /** Tokens to feed in its next step: the prompt, then the last token chosen. */
  feed: Int32Array;
  /** Tokens chosen so far. */
  generated = 0;
  readonly random: Random;
  readonly counts: TokenCounts | undefined;
  readonly prefill: ForwardTimings;
  readonly decode: ForwardTimings;
  readonly #lastToken = new Int32Array(1);

  /** @param depth requests that were waiting ahead when this one arrived */
  constructor(
    readonly request: EngineRequest,
    readonly depth: number,
  ) {
    this.feed = request.prompt;
    this.random = Random.seeded(request.sampling.seed);
    this.counts = TokenCounts.for(request.sampling, request.prompt);
    this.prefill = new ForwardTimings("prefill", request.recordSteps);
    this.decode = new ForwardTimings("decode", request.recordSteps);
  }

  get id(): RequestId {
    return this.request.id;
  }

  get params(): SamplingParams {
    return this.request.sampling;
  }

  /** Cache it needs for its whole life: prompt and output. */
  get tokensNeeded(): number {
    return this.request.prompt.length + this.request.maxTokens;
  }

  /** It holds this slot now, and its prefill is next. */
  admit(slot: number, at: Micros): void {
    this.slot = slot;
    this.state = "prefill";
    this.prefill.begin(at);
  }

  /** Its share of a finished step, good or bad. */
  recordStep(step: StepTiming): void {
    (this.state === "prefill" ? this.prefill : this.decode).add(step, this.feed.length);
  }

  /** That step was good: its feed is in the cache. */
  advance(step: StepTiming): void {
    this.cached += this.feed.length;
    if (this.state === "prefill") this.decode.begin(step.end);
    this.state = "decode";
  }

  /** The next token is this one. */
  accept(token: number): void {
    this.#lastToken[0] = token;
    this.feed = this.#lastToken;
    this.generated++;
    this.counts?.add(token);
  }
}
