import type { VitrineError, WireError } from "../../errors.js";
import type { CancelCause, EngineRequest, Micros, Outcome, PositionLogprobs, RequestId } from "../../protocol.js";
import type { RunnerRow } from "../runner.js";
import type { CompiledConstraint } from "../sampling/constraint.js";
import { Admission, type AdmissionOptions } from "./admission.js";
import { endFailedStep } from "./failed-step.js";
import type { StepTiming } from "./forward-timings.js";
import { decodeRow, makePlan, type Plan, prefillRow } from "./plan.js";
import type { Sequence } from "./sequence.js";
import { type Choice, SequencePool, type SequencePoolOptions } from "./sequence-pool.js";
import { Speculation } from "./speculation.js";
import { StepCosts } from "./step-costs.js";
import { type StepLimits, StepPlanner } from "./step-planner.js";

/** What a step's logits say: `row` is the plan's, `position` counts the logits that the row asked for. */
export interface StepResults {
  choose(row: number, position: number): Choice | VitrineError;
  /** Log probabilities of `token`, which follows the position. */
  score(row: number, position: number, token: number): PositionLogprobs | VitrineError;
}

export interface SchedulerOptions extends StepLimits, SequencePoolOptions, AdmissionOptions {}

const NO_GUESSES = new Int32Array(0);

/** One sequence's part of a step that ran. */
interface StepPart {
  readonly index: number;
  readonly row: RunnerRow;
  readonly sequence: Sequence;
  readonly results: StepResults;
  readonly at: Micros;
}

/**
 * Decides what runs next. Prefills and decode steps alternate: a step of prompts, at most a chunk of tokens, goes to
 * running prefills first and then to those who wait, by priority and arrival; a decode step feeds every stream that
 * generates. So a stream waits for one chunk between two tokens at most, however many arrive or how long they are.
 * A request is admitted when there is cache for its prompt. When streams grow beyond the cache, the youngest of the
 * lowest priority gives its own up and waits again; nobody is admitted then until somebody ends.
 *
 * `plan` opens a step, `commit` or `fail` closes it; in between nothing else may be called.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #pool: SequencePool;
  readonly #costs = new StepCosts();
  readonly #planner: StepPlanner;
  readonly #admission: Admission;
  readonly #speculation: Speculation | undefined;
  #lastPhase: Plan["phase"] = "decode";
  #open: Plan | undefined;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#pool = new SequencePool(options);
    this.#planner = new StepPlanner(options, this.#costs);
    this.#admission = new Admission(this.#pool, this.#planner, options);
    this.#speculation = options.rewinds ? new Speculation() : undefined;
  }

  get waiting(): number {
    return this.#pool.waiting.size;
  }

  get running(): number {
    return this.#pool.running.size;
  }

  /** Times that a request had to give up its cache. */
  get preemptions(): number {
    return this.#pool.preemptions;
  }

  /** What a decode step of all streams should take, in milliseconds. */
  get expectedDecodeMs(): number | undefined {
    return this.#planner.decodeMs(this.#pool.running.load);
  }

  /** @param compiled what the request's grammar became */
  submit(request: EngineRequest, compiled?: CompiledConstraint): void {
    this.#assertClosed();
    this.#pool.arrive(request, compiled);
  }

  /** Ends the request as finished with reason `stop`; unknown ids are ignored. */
  stop(id: RequestId): void {
    this.#end(id, { kind: "finished", reason: "stop" });
  }

  /** Ends the request as cancelled; unknown ids are ignored. */
  cancel(id: RequestId, cause: CancelCause): void {
    this.#end(id, { kind: "cancelled", cause });
  }

  cancelAll(cause: CancelCause): void {
    for (const id of this.#pool.ids) this.cancel(id, cause);
  }

  /** The next step, or undefined when there is nothing to do. */
  plan(): Plan | undefined {
    this.#assertClosed();
    const first = this.#lastPhase === "decode" ? this.#planPrefill() : undefined;
    // Decoding may end whoever has no memory left: then there is room again for who waits.
    this.#open = first ?? this.#planDecode() ?? this.#planPrefill();
    if (this.#open !== undefined) this.#lastPhase = this.#open.phase;
    return this.#open;
  }

  /** Closes a step that ran. */
  commit(plan: Plan, step: StepTiming, results: StepResults): void {
    this.#close(plan);
    const at = this.#options.clock();
    this.#costs.observe(plan.work, millisOf(step));
    for (const [index, sequence] of plan.sequences.entries()) {
      const row = plan.rows[index] as RunnerRow;
      sequence.recordStep(step, row.tokens.length);
      const part = { index, row, sequence, results, at };
      if (plan.phase === "prefill") this.#commitPrefill(part, step);
      else this.#commitDecode(part, step);
    }
  }

  /** Closes a step whose run failed. What becomes of its requests, `endFailedStep` says. */
  fail(plan: Plan, step: StepTiming, error: WireError): void {
    this.#close(plan);
    const at = this.#options.clock();
    for (const [index, sequence] of plan.sequences.entries()) {
      sequence.recordStep(step, (plan.rows[index] as RunnerRow).tokens.length);
    }
    endFailedStep(plan, this.#pool, error, at);
  }

  /** Throws unless queue, running set and cache agree. For tests, between steps or while one runs. */
  checkInvariants(): void {
    this.#pool.checkInvariants();
  }

  #planPrefill(): Plan | undefined {
    const { prefilling, load } = this.#pool.running;
    const sequences: Sequence[] = [];
    const rows: RunnerRow[] = [];
    let left = this.#planner.chunk(load, prefilling[0]?.cached ?? 0);
    const add = (sequence: Sequence): void => {
      const row = prefillRow(sequence, left);
      sequences.push(sequence);
      rows.push(row);
      left -= row.tokens.length;
    };
    const alone = prefilling.find((sequence) => sequence.alone);
    for (const sequence of alone === undefined ? [...prefilling] : [alone]) if (left > 0) add(sequence);
    while (left > 0 && alone === undefined) {
      const sequence = this.#admission.next();
      if (sequence === undefined) break;
      add(sequence);
    }
    return rows.length === 0 ? undefined : makePlan("prefill", sequences, rows, this.#costs);
  }

  #planDecode(): Plan | undefined {
    const { running } = this.#pool;
    const alone = this.#pool.size === 1;
    for (const sequence of [...running.decoding]) {
      // One before it may have taken its cache.
      if (sequence.state !== "decode") continue;
      sequence.draft = alone ? this.#guess(sequence) : NO_GUESSES;
      this.#makeRoom(sequence);
    }
    const sequences = [...running.decoding];
    return sequences.length === 0 ? undefined : makePlan("decode", sequences, sequences.map(decodeRow), this.#costs);
  }

  #guess({ tokens, mostTokens }: Sequence): Int32Array {
    // The step itself gives one token more than what it guesses. Nothing grows, and nobody makes way, for guesses.
    const most = Math.min(mostTokens - 1, this.#options.cache.pool.tokens) - tokens.length;
    return most < 1 ? NO_GUESSES : (this.#speculation?.propose(tokens.view(), most) ?? NO_GUESSES);
  }

  /** Room for what the sequence is fed next; without any it waits again, or fails when it is the only one. */
  #makeRoom(sequence: Sequence): void {
    const { running } = this.#pool;
    const room = sequence.tokens.length + sequence.draft.length;
    while (!this.#pool.extend(sequence, room, running.size > 1 ? "preemption" : "failure")) {
      const victim = running.size > 1 ? running.youngest() : undefined;
      if (victim === undefined) this.#pool.failForMemory(sequence);
      else this.#pool.preempt(victim, "cache");
      if (sequence.state !== "decode") return;
    }
  }

  #commitPrefill({ index, row, sequence, results, at }: StepPart, step: StepTiming): void {
    const { tokens, cached } = sequence;
    if (sequence.scores) {
      const known = Math.min(row.tokens.length, tokens.length - 1 - cached);
      // Those from before it had to start again are told already.
      const first = Math.min(known, Math.max(0, sequence.scored - cached));
      const score = (_: unknown, i: number) => results.score(index, first + i, tokens.at(cached + first + i + 1));
      this.#pool.scored(sequence, Array.from({ length: known - first }, score), at);
    }
    sequence.cached += row.tokens.length;
    if (sequence.state === "ended" || sequence.uncached > 0) return;
    this.#pool.prefilled(sequence, step.end);
    this.#pool.take(sequence, results.choose(index, (row.logits ?? 1) - 1), at);
  }

  /** Takes the guesses that the sampler agrees with, and its own token after them. */
  #commitDecode({ index, sequence, results, at }: StepPart, step: StepTiming): void {
    const { draft, generated } = sequence;
    for (let position = 0; position <= draft.length; position++) {
      sequence.cached++;
      const choice = results.choose(index, position);
      this.#pool.take(sequence, choice, at);
      if (sequence.state !== "decode" || !("token" in choice) || choice.token !== draft[position]) break;
    }
    if (sequence.state === "decode" && this.#pool.size === 1) {
      this.#speculation?.observe(draft.length, sequence.generated - generated, millisOf(step));
    }
  }

  #end(id: RequestId, outcome: Outcome): void {
    this.#assertClosed();
    const sequence = this.#pool.find(id);
    if (sequence !== undefined) this.#pool.end(sequence, outcome);
  }

  #close(plan: Plan): void {
    if (plan !== this.#open) throw new Error("The scheduler was given a plan that is not the open one");
    this.#open = undefined;
  }

  #assertClosed(): void {
    if (this.#open !== undefined) throw new Error("The scheduler was called in the middle of a step");
  }
}

const millisOf = ({ start, end }: StepTiming): number => (end - start) / 1e3;
