import { VitrineError, type WireError } from "../errors.js";
import type {
  AllocationStats,
  CancelCause,
  EngineRequest,
  Micros,
  Outcome,
  RequestEvent,
  RequestId,
} from "../protocol.js";
import { Fifo } from "./fifo.js";
import type { StepTiming } from "./forward-timings.js";
import type { KvCache } from "./kv-cache.js";
import type { RunnerRow } from "./runner.js";
import { Sequence } from "./sequence.js";

/** What one step runs: `rows[i]` feeds `sequences[i]`. */
export interface Plan {
  readonly phase: "prefill" | "decode";
  readonly sequences: readonly Sequence[];
  readonly rows: readonly RunnerRow[];
}

export interface SchedulerOptions {
  readonly cache: KvCache;
  readonly kvBytesPerToken: number;
  readonly clock: () => Micros;
  /** Takes every event, in order. */
  readonly emit: (event: RequestEvent) => void;
  /** Hears of each slot that became free. */
  readonly onRelease: (slot: number) => void;
}

/**
 * Decides what runs next. Requests wait first in, first out; while one waits and a slot is free, prefills and decode
 * steps alternate, so that an arrival starts after at most one decode step per request ahead of it, and a running
 * stream waits for at most one prompt between two of its tokens. A decode step feeds every running sequence.
 * A request is admitted only when its prefill is next: all its waiting is queueing, none of it holds cache.
 *
 * `plan` opens a step, `commit` or `fail` closes it; in between nothing else may be called.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #cache: KvCache;
  readonly #live = new Map<RequestId, Sequence>();
  readonly #waiting = new Fifo<Sequence>();
  /** Sequences that hold a slot, oldest first. */
  readonly #running: Sequence[] = [];
  #lastPhase: Plan["phase"] = "decode";
  #open: Plan | undefined;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#cache = options.cache;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  get running(): number {
    return this.#running.length;
  }

  submit(request: EngineRequest): void {
    const refusal = this.#refusal(request);
    if (refusal !== undefined) {
      const at = this.#options.clock();
      this.#options.emit({ type: "ended", id: request.id, outcome: { kind: "failed", error: refusal.toWire() }, at });
      return;
    }
    const sequence = new Sequence(request, this.#waiting.size);
    this.#live.set(request.id, sequence);
    this.#waiting.push(sequence);
  }

  /** Ends the request as finished with reason `stop`; unknown ids are ignored. */
  stop(id: RequestId): void {
    this.#endById(id, { kind: "finished", reason: "stop" });
  }

  /** Ends the request as cancelled; unknown ids are ignored. */
  cancel(id: RequestId, cause: CancelCause): void {
    this.#endById(id, { kind: "cancelled", cause });
  }

  cancelAll(cause: CancelCause): void {
    for (const id of [...this.#live.keys()]) this.cancel(id, cause);
  }

  /** The next step, or undefined when there is nothing to do. */
  plan(): Plan | undefined {
    this.#assertClosed();
    const decoding = this.#running.length > 0;
    const admitted = decoding && this.#lastPhase === "prefill" ? undefined : this.#admit();
    if (admitted !== undefined) this.#open = makePlan("prefill", [admitted]);
    else if (decoding) this.#open = makePlan("decode", [...this.#running]);
    if (this.#open !== undefined) this.#lastPhase = this.#open.phase;
    return this.#open;
  }

  /** Closes a step that ran. `choices[i]` is the token chosen for `plan.sequences[i]`, or why none could be. */
  commit(plan: Plan, step: StepTiming, choices: readonly (number | VitrineError)[]): void {
    this.#close(plan);
    const at = this.#options.clock();
    plan.sequences.forEach((sequence, row) => {
      sequence.recordStep(step);
      sequence.advance(step);
      if (plan.phase === "prefill") {
        const forward = sequence.prefill.stats();
        if (forward !== undefined) this.#options.emit({ type: "prefilled", id: sequence.id, forward });
      }
      const choice = choices[row] ?? new VitrineError("internal", "The engine chose no token for a row of its step.");
      this.#take(sequence, choice, at);
    });
  }

  /** Closes a step whose run failed: every request in it fails, and what it reserved is free again. */
  fail(plan: Plan, step: StepTiming, error: WireError): void {
    this.#close(plan);
    const at = this.#options.clock();
    for (const sequence of plan.sequences) {
      sequence.recordStep(step);
      this.#end(sequence, { kind: "failed", error }, at);
    }
  }

  /** Throws unless queue, running set and cache agree. For tests, between steps or while one runs. */
  checkInvariants(): void {
    this.#cache.checkInvariants();
    const problems: string[] = [];
    const waiting = [...this.#waiting];
    const held = this.#running.filter((sequence) => this.#cache.ownerOf(sequence.slot ?? -1) === sequence.id);
    const owned = Array.from({ length: this.#cache.slots }, (_, slot) => this.#cache.ownerOf(slot));
    const tokens = this.#running.reduce((sum, sequence) => sum + sequence.tokensNeeded, 0);
    const overfull = this.#running.some((sequence) => sequence.cached + sequence.feed.length > sequence.tokensNeeded);
    const prefilling = this.#running.filter((sequence) => sequence.state !== "decode");
    if (waiting.some((sequence) => sequence.state !== "waiting" || sequence.slot !== undefined))
      problems.push("a waiting sequence is not waiting or holds a slot");
    if (held.length !== this.#running.length) problems.push("a running sequence does not own its slot");
    if (owned.filter((owner) => owner !== undefined).length !== this.#running.length)
      problems.push("a slot is held by a sequence that does not run");
    if (tokens !== this.#cache.tokensReserved) problems.push("reserved tokens are not those of the running sequences");
    if (overfull) problems.push("a sequence outgrows its reservation");
    if (prefilling.some((sequence) => !this.#open?.sequences.includes(sequence)))
      problems.push("a sequence was admitted without its prefill running");
    if (this.#live.size !== waiting.length + this.#running.length) problems.push("live is not waiting + running");
    if (problems.length > 0) throw new Error(`Scheduler: ${problems.join("; ")}`);
  }

  /** Guards the invariants; the HTTP edge has checked the same with a message for the caller. */
  #refusal({ id, prompt, maxTokens }: EngineRequest): VitrineError | undefined {
    if (this.#live.has(id)) {
      return new VitrineError("internal", "A request with the same id is still running; ids must be unique.");
    }
    if (prompt.length < 1 || maxTokens < 1) {
      return new VitrineError(
        "invalid_request",
        "A request needs at least one prompt token and max_tokens of at least 1.",
      );
    }
    if (!this.#cache.fits(prompt.length + maxTokens)) {
      return new VitrineError(
        "context_length_exceeded",
        `The prompt has ${prompt.length} tokens and max_tokens is ${maxTokens}, together more than the model's context of ` +
          `${this.#cache.tokensPerSlot}; shorten the prompt or lower max_tokens.`,
      );
    }
    return undefined;
  }

  /** Gives the first in the queue a slot, if one is free. */
  #admit(): Sequence | undefined {
    const sequence = this.#waiting.first;
    if (sequence === undefined) return undefined;
    const start = this.#options.clock();
    const slot = this.#cache.reserve(sequence.id, sequence.tokensNeeded);
    if (slot === undefined) return undefined;
    this.#waiting.delete(sequence);
    this.#running.push(sequence);
    const allocation = this.#allocation(sequence, start);
    sequence.admit(slot, allocation.end);
    this.#options.emit({
      type: "admitted",
      id: sequence.id,
      queue: { start: sequence.request.submittedAt, end: start, depth: sequence.depth },
      allocation,
    });
    return sequence;
  }

  #allocation({ tokensNeeded }: Sequence, start: Micros): AllocationStats {
    return {
      start,
      end: this.#options.clock(),
      tokens: tokensNeeded,
      bytes: tokensNeeded * this.#options.kvBytesPerToken,
      reusedTokens: 0,
      evictedTokens: 0,
      poolUtilization: this.#cache.utilization,
    };
  }

  #take(sequence: Sequence, choice: number | VitrineError, at: Micros): void {
    const { id, request } = sequence;
    if (typeof choice !== "number") {
      this.#end(sequence, { kind: "failed", error: choice.toWire() }, at);
    } else if (request.stopTokenIds.includes(choice)) {
      this.#end(sequence, { kind: "finished", reason: "stop" }, at);
    } else {
      sequence.accept(choice);
      this.#options.emit({ type: "token", id, token: choice, at });
      // The context's end is an end by length too: no request may ask for more than fits (see #refusal).
      if (sequence.generated >= request.maxTokens) this.#end(sequence, { kind: "finished", reason: "length" }, at);
    }
  }

  #endById(id: RequestId, outcome: Outcome): void {
    this.#assertClosed();
    const sequence = this.#live.get(id);
    if (sequence !== undefined) this.#end(sequence, outcome, this.#options.clock());
  }

  #end(sequence: Sequence, outcome: Outcome, at: Micros): void {
    this.#live.delete(sequence.id);
    if (sequence.slot === undefined) this.#waiting.delete(sequence);
    else {
      this.#running.splice(this.#running.indexOf(sequence), 1);
      this.#cache.release(sequence.slot);
      this.#options.onRelease(sequence.slot);
    }
    sequence.slot = undefined;
    sequence.state = "ended";
    const decode = sequence.decode.stats();
    this.#options.emit({ type: "ended", id: sequence.id, outcome, at, ...(decode === undefined ? {} : { decode }) });
  }

  #close(plan: Plan): void {
    if (plan !== this.#open) throw new Error("The scheduler was given a plan that is not the open one");
    this.#open = undefined;
  }

  #assertClosed(): void {
    if (this.#open !== undefined) throw new Error("The scheduler was called in the middle of a step");
  }
}

function makePlan(phase: Plan["phase"], sequences: readonly Sequence[]): Plan {
  const rows = sequences.map(({ slot, feed, cached }) => {
    if (slot === undefined) throw new Error("A sequence without a slot was planned");
    return { slot, tokens: feed, past: cached };
  });
  return { phase, sequences, rows };
}
