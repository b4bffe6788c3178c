import type { ForwardStats, Micros, StepNumbers } from "../../protocol.js";

/** When one step's forward pass ran, and how much it fed over all its rows. */
export interface StepTiming {
  /** Counts from 1. */
  readonly number: number;
  readonly start: Micros;
  readonly end: Micros;
  readonly batchSize: number;
  readonly tokensFed: number;
  /** What it was expected to take, in milliseconds. */
  readonly expectedMs?: number;
}

/** Adds up one sequence's part in the forward passes of one phase. */
export class ForwardTimings {
  #start: Micros = 0;
  #end: Micros = 0;
  #steps = 0;
  #tokens = 0;
  #batchSizes = 0;
  #longest: Micros = 0;
  #expectedMs = 0;
  #expectations = 0;
  #deviceTime: Micros = 0;
  #numbers: StepNumbers | undefined;

  constructor(
    readonly phase: ForwardStats["phase"],
    private readonly recordSteps: boolean,
  ) {}

  /**
   * The phase counts from here, where the one before it ended, and not from its first pass: what lies between belongs
   * to it, and a request's spans leave no gap.
   */
  begin(at: Micros): void {
    this.#start = at;
  }

  /** @param tokens fed for this sequence in that step; a step's time is split over its rows by tokens fed */
  add({ number, start, end, batchSize, tokensFed, expectedMs }: StepTiming, tokens: number): void {
    const { first = number, slowest = number } = this.#numbers ?? {};
    this.#numbers = { first, last: number, slowest: end - start > this.#longest ? number : slowest };
    this.#end = end;
    this.#steps++;
    this.#tokens += tokens;
    this.#batchSizes += batchSize;
    this.#longest = Math.max(this.#longest, end - start);
    this.#deviceTime += ((end - start) * tokens) / tokensFed;
    if (expectedMs !== undefined) {
      this.#expectedMs += expectedMs;
      this.#expectations++;
    }
  }

  /** Undefined when no pass ran. @param until where what follows the phase begins, when that is after its last pass */
  stats(until: Micros = 0): ForwardStats | undefined {
    if (this.#steps === 0) return undefined;
    return {
      phase: this.phase,
      start: this.#start,
      end: Math.max(this.#end, until),
      steps: this.#steps,
      tokens: this.#tokens,
      meanBatchSize: this.#batchSizes / this.#steps,
      maxStepMs: this.#longest / 1e3,
      ...(this.#expectations === 0 ? {} : { expectedStepMs: this.#expectedMs / this.#expectations }),
      deviceSeconds: this.#deviceTime / 1e6,
      ...(this.recordSteps && this.#numbers !== undefined ? { stepNumbers: this.#numbers } : {}),
    };
  }
}
