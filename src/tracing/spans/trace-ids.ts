import type { IdGenerator } from "@opentelemetry/sdk-trace-node";
import type { EngineRun } from "../../protocol.js";

/** Another generator's ids, except for traces that are given theirs. */
export class TraceIds implements IdGenerator {
  #given: string | undefined;

  constructor(private readonly others: IdGenerator) {}

  generateTraceId(): string {
    return this.#given ?? this.others.generateTraceId();
  }

  generateSpanId(): string {
    return this.others.generateSpanId();
  }

  /** Traces that `begin` begins have this id. */
  during<T>(traceId: string, begin: () => T): T {
    this.#given = traceId;
    try {
      return begin();
    } finally {
      this.#given = undefined;
    }
  }
}

/** Digits of a step's trace id that are its number, in decimal for people: a thousand steps a second fill them in three years. */
const NUMBER_DIGITS = 11;

/**
 * Both the step and the requests in it know it: nobody has to tell it to the other. Its upper half is for people: some digits of the run,
 * and the step's number. Its lower half is as good as random, because collectors sample by it, and is no other step's of the run, because
 * some file by it.
 */
export function stepTraceId({ id }: EngineRun, step: number): string {
  const upper = id.slice(0, 16 - NUMBER_DIGITS) + String(step).padStart(NUMBER_DIGITS, "0");
  return upper + mixed(id.slice(16, 24), step) + mixed(id.slice(24), step);
}

/** 32 bits in hex, another for each of 2^32 steps: MurmurHash3's finalizer (Austin Appleby, public domain), which is a permutation. */
function mixed(seed: string, step: number): string {
  let bits = (Number.parseInt(seed, 16) + step) >>> 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return ((bits ^ (bits >>> 16)) >>> 0).toString(16).padStart(8, "0");
}
