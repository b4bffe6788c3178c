import { VitrineError } from "../../errors.js";
import type {
  AllocationStats,
  EngineRequest,
  GrowthFallback,
  Micros,
  Outcome,
  PositionLogprobs,
  RequestEvent,
  RequestId,
} from "../../protocol.js";
import type { CacheAdmission, KvCache } from "../cache/kv-cache.js";
import type { CompiledConstraint } from "../sampling/constraint.js";
import { GrowthReport } from "./growth-report.js";
import { checkPool } from "./pool-invariants.js";
import { noMemory, taken, whyNever } from "./refusals.js";
import { RequestQueue } from "./request-queue.js";
import { RunningSet } from "./running-set.js";
import { Sequence } from "./sequence.js";

/** A token chosen for a sequence. */
export interface Choice {
  readonly token: number;
  readonly logprobs?: PositionLogprobs;
}

export interface SequencePoolOptions {
  readonly cache: KvCache;
  readonly kvBytesPerToken: number;
  readonly clock: () => Micros;
  /** Takes every event, in order. */
  readonly emit: (event: RequestEvent) => void;
}

/** All live sequences and every change in the life of one, with its cache and its event: no policy. */
export class SequencePool {
  readonly waiting = new RequestQueue<Sequence>();
  readonly running = new RunningSet();
  readonly #options: SequencePoolOptions;
  readonly #growth: GrowthReport;
  readonly #live = new Map<RequestId, Sequence>();
  #arrivals = 0;
  #preemptions = 0;
  /** Most that may run until one of them ends: a sequence gave up its cache. */
  #most = Number.POSITIVE_INFINITY;
  /** Most that one run seems to have memory for. */
  #mostAtOnce = Number.POSITIVE_INFINITY;

  constructor(options: SequencePoolOptions) {
    this.#options = options;
    this.#growth = new GrowthReport(options.cache.pool, options.kvBytesPerToken, options.emit);
  }

  get size(): number {
    return this.#live.size;
  }

  get ids(): readonly RequestId[] {
    return [...this.#live.keys()];
  }

  /** Times that a sequence gave up its cache. */
  get preemptions(): number {
    return this.#preemptions;
  }

  /** There is no memory for one more. */
  get short(): boolean {
    return this.running.size >= Math.min(this.#most, this.#mostAtOnce);
  }

  find(id: RequestId): Sequence | undefined {
    return this.#live.get(id);
  }

  /** A request joins the queue, or fails at once. */
  arrive(request: EngineRequest, compiled?: CompiledConstraint): void {
    const { cache, clock, emit } = this.#options;
    const refusal = this.#live.has(request.id) ? taken() : whyNever(request, cache.mostTokens);
    if (refusal === undefined) {
      const sequence = new Sequence(request, this.#arrivals++, this.waiting.size, compiled);
      this.#live.set(request.id, sequence);
      this.waiting.push(sequence);
    } else {
      const outcome = { kind: "failed", error: refusal.toWire() } as const;
      emit({ type: "ended", id: request.id, outcome, at: clock() });
    }
  }

  /** Gives a waiting sequence a slot; false when there is no cache for what it has. */
  admit(sequence: Sequence): boolean {
    const { cache, clock } = this.#options;
    const start = clock();
    const tokens = Math.min(sequence.tokens.length + 1, sequence.mostTokens);
    const evictedBefore = cache.tokensEvicted;
    const admission = cache.admit(sequence, tokens);
    const evicted = cache.tokensEvicted - evictedBefore;
    sequence.evicted += evicted;
    if (admission === undefined) {
      this.lacksMemory(sequence, start);
      this.#growth.tell(sequence, this.running.size > 0 ? "wait" : "failure");
      return false;
    }
    const growth = this.#growth.take(evicted > 0 ? "eviction" : "less");
    this.#admitted(sequence, admission, { start, end: clock(), tokens, ...(growth === undefined ? {} : { growth }) });
    return true;
  }

  #admitted(
    sequence: Sequence,
    { slot, reused: reusedTokens }: CacheAdmission,
    made: Pick<AllocationStats, "start" | "end" | "tokens" | "growth">,
  ): void {
    const { cache, emit, kvBytesPerToken } = this.#options;
    const { request, waitingSince, depth, id, evicted: evictedTokens } = sequence;
    const { start, end, tokens } = made;
    const waitMs = lackedMs(sequence, start);
    const compiled = sequence.takeCompiled();
    this.waiting.delete(sequence);
    this.running.add(sequence);
    sequence.admit(slot, reusedTokens, end);
    sequence.growthBefore = cache.pool.growing;
    const [bytes, poolBytes] = [tokens * kvBytesPerToken, cache.pool.cells * kvBytesPerToken];
    const counts = { bytes, reusedTokens, evictedTokens, waitMs, poolBytes, poolUtilization: cache.utilization };
    emit({
      type: "admitted",
      id,
      ...(compiled === undefined ? {} : { grammar: { start: request.submittedAt, end: compiled.at } }),
      queue: { start: waitingSince, end: start, depth },
      allocation: { ...made, ...counts },
    });
  }

  /** It is the sequence's turn, and there is no memory for it. Where all slots are taken, that is why it waits. */
  lacksMemory(sequence: Sequence, at?: Micros): void {
    if (this.running.size < this.#options.cache.slots) sequence.lackingSince ??= at ?? this.#options.clock();
  }

  /** Room for so many tokens of a running sequence; false when there is none now, and what will be done `otherwise`. */
  extend(sequence: Sequence, room: number, otherwise: GrowthFallback): boolean {
    const { cache } = this.#options;
    const evictedBefore = cache.tokensEvicted;
    const extended = cache.extend(sequence.slot as number, room);
    this.#growth.tell(sequence, !extended ? otherwise : cache.tokensEvicted > evictedBefore ? "eviction" : "less");
    return extended;
  }

  /**
   * A running sequence gives up its slot, for want of cache or of what a run takes, and is the next of its priority to be
   * admitted.
   */
  preempt(sequence: Sequence, lacking: "cache" | "run"): void {
    const { cache, clock, emit } = this.#options;
    const at = clock();
    const forward = this.#growth.within(sequence, sequence.forwardStats(at));
    this.running.delete(sequence);
    // What a failed run wrote is unknown.
    cache.release(sequence.slot as number, lacking === "cache");
    sequence.preempt(at, this.waiting.size);
    this.waiting.putBack(sequence);
    if (lacking === "cache") this.#most = Math.max(1, this.running.size);
    this.#preemptions++;
    emit({ type: "preempted", id: sequence.id, at, ...(forward === undefined ? {} : { forward }) });
  }

  /** A run had no memory for more; whenever one of them ends, one more is tried. */
  admitAtMost(sequences: number): void {
    this.#mostAtOnce = Math.max(1, sequences);
  }

  /** Its prompt is cached: from here on it decodes. */
  prefilled(sequence: Sequence, at: Micros): void {
    this.running.promote(sequence);
    const forward = this.#growth.within(sequence, sequence.beginDecode(at));
    sequence.growthBefore = this.#options.cache.pool.growing;
    if (forward !== undefined) this.#options.emit({ type: "prefilled", id: sequence.id, forward });
  }

  /** Log probabilities of the prompt's next tokens; one that could not be read fails the request. */
  scored(sequence: Sequence, scores: readonly (PositionLogprobs | VitrineError)[], at: Micros): void {
    const error = scores.find((score) => score instanceof VitrineError);
    if (error !== undefined) this.end(sequence, { kind: "failed", error: error.toWire() }, at);
    else if (scores.length > 0) {
      sequence.scored += scores.length;
      const positions = scores.filter((score): score is PositionLogprobs => !(score instanceof VitrineError));
      this.#options.emit({ type: "prompt_logprobs", id: sequence.id, positions });
    }
  }

  /** The sequence goes on with this token, or ends by it. */
  take(sequence: Sequence, choice: Choice | VitrineError, at: Micros): void {
    const { id, request } = sequence;
    if (choice instanceof VitrineError) {
      this.end(sequence, { kind: "failed", error: choice.toWire() }, at);
    } else if (request.stopTokenIds.includes(choice.token)) {
      this.end(sequence, { kind: "finished", reason: "stop" }, at);
    } else {
      sequence.accept(choice.token);
      this.#options.emit({ type: "token", id, ...choice, at });
      if (sequence.constraint?.complete) this.end(sequence, { kind: "finished", reason: "stop" }, at);
      // The context's end is an end by length too: `whyNever` refuses who asks for more than fits.
      else if (sequence.generated >= request.maxTokens) this.end(sequence, { kind: "finished", reason: "length" }, at);
    }
  }

  end(sequence: Sequence, outcome: Outcome, at: Micros = this.#options.clock()): void {
    this.#live.delete(sequence.id);
    const forward = this.#growth.within(sequence, sequence.forwardStats(at));
    const waitMs = sequence.slot === undefined ? lackedMs(sequence, at) : 0;
    if (sequence.slot === undefined) this.waiting.delete(sequence);
    else {
      this.running.delete(sequence);
      // What a failed run wrote is unknown.
      this.#options.cache.release(sequence.slot, outcome.kind !== "failed");
      this.#most = Number.POSITIVE_INFINITY;
      this.#mostAtOnce++;
    }
    sequence.slot = undefined;
    sequence.state = "ended";
    const told = { ...(forward === undefined ? {} : { forward }), ...(waitMs === 0 ? {} : { waitMs }) };
    this.#options.emit({ type: "ended", id: sequence.id, outcome, at, ...told });
  }

  /** There is no memory for it even alone. */
  failForMemory(sequence: Sequence): void {
    const { cache, kvBytesPerToken } = this.#options;
    const needed = sequence.tokens.length * kvBytesPerToken;
    const error = noMemory(sequence.tokens.length, needed, cache.pool.cells * kvBytesPerToken);
    this.end(sequence, { kind: "failed", error: error.toWire() });
  }

  /** Throws unless queue, running set and cache agree. */
  checkInvariants(): void {
    checkPool(this, this.#options.cache);
  }
}

const lackedMs = ({ lackingSince }: Sequence, at: Micros): number =>
  lackingSince === undefined ? 0 : (at - lackingSince) / 1e3;
