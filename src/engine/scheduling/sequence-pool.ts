import { VitrineError } from "../../errors.js";
import type { EngineRequest, Micros, Outcome, PositionLogprobs, RequestEvent, RequestId } from "../../protocol.js";
import type { KvCache } from "../cache/kv-cache.js";
import type { CompiledConstraint } from "../sampling/constraint.js";
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
  readonly #live = new Map<RequestId, Sequence>();
  #arrivals = 0;
  #preemptions = 0;
  #short = false;

  constructor(options: SequencePoolOptions) {
    this.#options = options;
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

  /** A sequence gave up its cache, and none that runs has ended since. */
  get short(): boolean {
    return this.#short && this.running.size > 0;
  }

  find(id: RequestId): Sequence | undefined {
    return this.#live.get(id);
  }

  /** A request joins the queue, or fails at once. */
  arrive(request: EngineRequest, compiled?: CompiledConstraint): void {
    const refusal = this.#refusal(request);
    if (refusal === undefined) {
      const sequence = new Sequence(request, this.#arrivals++, this.waiting.size, compiled);
      this.#live.set(request.id, sequence);
      this.waiting.push(sequence);
    } else {
      const outcome = { kind: "failed", error: refusal.toWire() } as const;
      this.#options.emit({ type: "ended", id: request.id, outcome, at: this.#options.clock() });
    }
  }

  /** Gives a waiting sequence a slot; false when there is no cache for what it has. */
  admit(sequence: Sequence): boolean {
    const { cache, clock, kvBytesPerToken } = this.#options;
    const start = clock();
    const tokens = Math.min(sequence.tokens.length + 1, sequence.mostTokens);
    const admission = cache.admit(sequence, tokens);
    if (admission === undefined) return false;
    const { slot, reused: reusedTokens, evicted: evictedTokens } = admission;
    const end = clock();
    const { request, waitingSince, depth, id } = sequence;
    const compiled = sequence.takeCompiled();
    this.waiting.delete(sequence);
    this.running.add(sequence);
    sequence.admit(slot, reusedTokens, end);
    const bytes = tokens * kvBytesPerToken;
    this.#options.emit({
      type: "admitted",
      id,
      ...(compiled === undefined ? {} : { grammar: { start: request.submittedAt, end: compiled.at } }),
      queue: { start: waitingSince, end: start, depth },
      allocation: { start, end, tokens, bytes, reusedTokens, evictedTokens, poolUtilization: cache.utilization },
    });
    return true;
  }

  /** A running sequence gives up its slot and is the next of its priority to be admitted. */
  preempt(sequence: Sequence): void {
    const at = this.#options.clock();
    const forward = sequence.forwardStats(at);
    this.running.delete(sequence);
    this.#options.cache.release(sequence.slot as number, true);
    sequence.preempt(at, this.waiting.size);
    this.waiting.putBack(sequence);
    this.#short = true;
    this.#preemptions++;
    this.#options.emit({ type: "preempted", id: sequence.id, at, ...(forward === undefined ? {} : { forward }) });
  }

  /** Its prompt is cached: from here on it decodes. */
  prefilled(sequence: Sequence, at: Micros): void {
    this.running.promote(sequence);
    const forward = sequence.beginDecode(at);
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
      // The context's end is an end by length too: no request may ask for more than fits (see #refusal).
      else if (sequence.generated >= request.maxTokens) this.end(sequence, { kind: "finished", reason: "length" }, at);
    }
  }

  end(sequence: Sequence, outcome: Outcome, at: Micros = this.#options.clock()): void {
    this.#live.delete(sequence.id);
    const forward = sequence.forwardStats(at);
    if (sequence.slot === undefined) this.waiting.delete(sequence);
    else {
      this.running.delete(sequence);
      // What a failed run wrote is unknown.
      this.#options.cache.release(sequence.slot, outcome.kind !== "failed");
      this.#short = false;
    }
    sequence.slot = undefined;
    sequence.state = "ended";
    this.#options.emit({ type: "ended", id: sequence.id, outcome, at, ...(forward === undefined ? {} : { forward }) });
  }

  /** There is no memory for it even alone. */
  failForMemory(sequence: Sequence): void {
    const error = new VitrineError(
      "inference_failed",
      `There is no memory for the KV cache of ${sequence.tokens.length} tokens: send a shorter request, or start the ` +
        "server with less --kv-memory than the machine has free.",
    );
    this.end(sequence, { kind: "failed", error: error.toWire() });
  }

  /** Throws unless queue, running set and cache agree. */
  checkInvariants(): void {
    const { cache } = this.#options;
    cache.checkInvariants();
    const problems: string[] = [];
    const waiting = [...this.waiting];
    const running = [...this.running];
    const { prefilling, decoding } = this.running;
    if (waiting.some(({ state, slot, cached }) => state !== "waiting" || slot !== undefined || cached > 0))
      problems.push("a waiting sequence is not waiting, or holds a slot");
    if (running.some(({ slot, id }) => cache.ownerOf(slot ?? -1) !== id))
      problems.push("a running sequence does not own its slot");
    if (cache.owners !== running.length) problems.push("a slot is held by a sequence that does not run");
    if (prefilling.some(({ state, uncached }) => state !== "prefill" || uncached < 1))
      problems.push("a prefilling sequence has nothing to prefill");
    if (decoding.some(({ state, uncached }) => state !== "decode" || uncached !== 1))
      problems.push("a decoding sequence lacks more than its last token");
    if (running.some(({ tokens, mostTokens }) => tokens.length > mostTokens)) problems.push("a sequence is too long");
    if (this.#live.size !== waiting.length + running.length) problems.push("live is not waiting + running");
    if (problems.length > 0) throw new Error(`SequencePool: ${problems.join("; ")}`);
  }

  /** Guards the invariants; the HTTP edge has checked the same with a message for the caller. */
  #refusal({ id, prompt, maxTokens }: EngineRequest): VitrineError | undefined {
    if (this.#live.has(id)) {
      return new VitrineError("internal", "A request with the same id is still running; ids must be unique.");
    }
    if (prompt.length < 1 || maxTokens < 1) {
      const message = "A request needs at least one prompt token and max_tokens of at least 1.";
      return new VitrineError("invalid_request", message);
    }
    const most = this.#options.cache.mostTokens;
    if (prompt.length + maxTokens <= most) return undefined;
    return new VitrineError(
      "context_length_exceeded",
      `The prompt has ${prompt.length} tokens and max_tokens is ${maxTokens}, together more than the ${most} that the ` +
        "model's context and the KV cache's memory hold; shorten the prompt or lower max_tokens.",
    );
  }
}
