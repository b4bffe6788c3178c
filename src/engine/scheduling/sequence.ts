import type { EngineRequest, ForwardStats, Micros, RequestId, SamplingParams } from "../../protocol.js";
import type { CacheHolder } from "../cache/cache-slot.js";
import type { CompiledConstraint, TokenConstraint } from "../sampling/constraint.js";
import { Random } from "../sampling/random.js";
import { isContentWithTop, type SamplingState } from "../sampling/sampler.js";
import { TokenCounts } from "../sampling/token-counts.js";
import { ForwardTimings, type StepTiming } from "./forward-timings.js";
import { TokenList } from "./token-list.js";

/** waiting: in the queue. prefill: its slot lacks tokens that are known. decode: it lacks the last one only. */
export type SequenceState = "waiting" | "prefill" | "decode" | "ended";

const NO_TOKENS = new Int32Array(0);

/** One request on its way through the engine. The scheduler alone changes it. */
export class Sequence implements SamplingState, CacheHolder {
  state: SequenceState = "waiting";
  /** The KV slot it holds; undefined while waiting and once ended. */
  slot: number | undefined;
  /** Its first tokens that its slot holds. */
  cached = 0;
  /** Tokens of its prompt, after the first, whose log probabilities were told. */
  scored = 0;
  /** Since when it has been waiting, and how many were ahead of it then. */
  waitingSince: Micros;
  /** Guesses at the next tokens, fed along in this step to be verified. */
  draft: Int32Array = NO_TOKENS;
  /** Since when there has been no memory for it, though it was its turn; undefined while nothing says so. */
  lackingSince: Micros | undefined;
  /** Kept tokens that others gave up for it since it began to wait. */
  evicted = 0;
  /** What the cache's growth had taken when its phase began. */
  growthBefore: Micros = 0;
  /** A step that it shared has failed: its prompt shares none any more, lest it was the cause. */
  alone = false;
  readonly tokens: TokenList;
  readonly random: Random;
  readonly counts: TokenCounts | undefined;
  /** What its output may still be. */
  readonly constraint: TokenConstraint | undefined;
  #compiled: CompiledConstraint | undefined;
  #forward: ForwardTimings;

  /**
   * @param arrival its place in the order of arrivals
   * @param depth requests that were waiting ahead when this one arrived
   * @param compiled what its grammar became
   */
  constructor(
    readonly request: EngineRequest,
    readonly arrival: number,
    public depth: number,
    compiled?: CompiledConstraint,
  ) {
    this.tokens = new TokenList(request.prompt);
    this.constraint = compiled?.constraint;
    this.#compiled = compiled;
    this.waitingSince = compiled?.at ?? request.submittedAt;
    this.random = Random.seeded(request.sampling.seed);
    this.counts = TokenCounts.for(request.sampling, request.prompt);
    this.#forward = new ForwardTimings("prefill", request.recordSteps);
  }

  get id(): RequestId {
    return this.request.id;
  }

  get params(): SamplingParams {
    return this.request.sampling;
  }

  get salt(): string {
    // Logits of tokens that are cached already would be missing.
    return this.request.promptLogprobs ? `\0${this.id}` : this.request.cacheSalt;
  }

  /** What may not be chosen yet: what would end it before it has its `minTokens`. */
  get suppressed(): readonly number[] | undefined {
    return this.generated < this.params.minTokens ? this.request.stopTokenIds : undefined;
  }

  /** Its next tokens are of the prompt, and their log probabilities are wanted. */
  get scores(): boolean {
    return this.request.promptLogprobs === true && this.generated === 0;
  }

  /** The likeliest tokens will probably do to choose its next one. */
  get contentWithTop(): boolean {
    return this.request.logprobs === undefined && isContentWithTop(this);
  }

  /** Tokens chosen so far. */
  get generated(): number {
    return this.tokens.length - this.request.prompt.length;
  }

  /** Most tokens it can ever hold: prompt and output. */
  get mostTokens(): number {
    return this.request.prompt.length + this.request.maxTokens;
  }

  /** Tokens that are known and not in its slot. */
  get uncached(): number {
    return this.tokens.length - this.cached;
  }

  /** It holds this slot now, which has its first `cached` tokens; its prefill is next. */
  admit(slot: number, cached: number, at: Micros): void {
    this.slot = slot;
    this.cached = cached;
    this.state = "prefill";
    this.#begin("prefill", at);
  }

  /** What its slot holds is unknown: its prefill begins again. */
  restart(): void {
    this.cached = 0;
  }

  /** It gave its slot up, and waits again. */
  preempt(at: Micros, depth: number): void {
    this.slot = undefined;
    this.cached = 0;
    this.state = "waiting";
    this.waitingSince = at;
    this.lackingSince = undefined;
    this.evicted = 0;
    this.depth = depth;
    this.#begin("prefill", at);
  }

  /** Its share of a step that fed `fed` of its tokens, good or bad. */
  recordStep(step: StepTiming, fed: number): void {
    this.#forward.add(step, fed);
  }

  /** That step was good, and all known tokens are in the slot: from here on it decodes. Returns what the prefill took. */
  beginDecode(at: Micros): ForwardStats | undefined {
    const prefill = this.#forward.stats();
    this.state = "decode";
    this.#begin("decode", at);
    return prefill;
  }

  /** What the phase that it is in took until `at`, when it leaves it; undefined when no step of it ran. */
  forwardStats(at: Micros): ForwardStats | undefined {
    return this.#forward.stats(at);
  }

  /** The next token is this one. */
  accept(token: number): void {
    this.tokens.push(token);
    this.counts?.add(token);
    this.constraint?.accept(token);
  }

  /** When its grammar was compiled; told once. */
  takeCompiled(): CompiledConstraint | undefined {
    const compiled = this.#compiled;
    this.#compiled = undefined;
    return compiled;
  }

  #begin(phase: ForwardStats["phase"], at: Micros): void {
    this.#forward = new ForwardTimings(phase, this.request.recordSteps);
    this.#forward.begin(at);
  }
}
