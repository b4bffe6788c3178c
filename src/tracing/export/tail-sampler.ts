import type { ThreadCounters } from "../counters.js";
import { readUndecided } from "./span-layout.js";
import type { SpanRecord } from "./span-record.js";

export interface TailLimits {
  readonly traces: number;
  /** Of encoded spans. */
  readonly bytes: number;
  /** How long a trace is waited for, from its first span to its last. */
  readonly ageMs: number;
}

/** Some 25,000 spans. Requests in flight are bounded, and with them the traces that are undecided. */
export const TAIL_LIMITS: Omit<TailLimits, "ageMs"> = { traces: 10_000, bytes: 16 * 2 ** 20 };

interface Held {
  readonly spans: Buffer[];
  bytes: number;
  readonly since: number;
}

/**
 * Holds the encoded spans of traces that were not chosen as they began, until the last one says whether the trace is kept
 * all the same: its `sampling.reason`. Past a limit the trace that began longest ago goes, and is counted.
 */
export class TailSampler {
  /** In the order of their first spans. */
  readonly #traces = new Map<string, Held>();
  #bytes = 0;

  /** @param now milliseconds of a steady clock */
  constructor(
    private readonly limits: TailLimits,
    private readonly counters: Pick<ThreadCounters, "add">,
    private readonly now: () => number,
  ) {}

  /**
   * Takes a copy of the span at `start` if its trace is undecided; false when it is for the caller to pass on.
   * With the last span of a trace that is kept, `keep` gets all of them, oldest first. `decode` reads that last one.
   */
  take(
    bytes: Buffer,
    start: number,
    length: number,
    decode: (bytes: Buffer, start: number, length: number) => SpanRecord,
    keep: (bytes: Buffer, start: number, length: number) => void,
  ): boolean {
    const undecided = readUndecided(bytes, start);
    if (undecided === undefined) return false;
    const { traceId, last } = undecided;
    if (!last) {
      this.#hold(traceId, Buffer.from(bytes.subarray(start, start + length)));
      return true;
    }
    const reason = decode(bytes, start, length).attributes["sampling.reason"];
    const earlier = this.#release(traceId);
    if (reason === undefined) {
      this.counters.add("sampledOut", earlier.length + 1);
      return true;
    }
    for (const span of earlier) keep(span, 0, span.length);
    keep(bytes, start, length);
    return true;
  }

  /** Gives up traces whose last span never came. */
  expire(): void {
    const before = this.now() - this.limits.ageMs;
    for (const [traceId, { since }] of this.#traces) {
      if (since >= before) return;
      this.#evict(traceId);
    }
  }

  #hold(traceId: string, span: Buffer): void {
    const held = this.#traces.get(traceId) ?? { spans: [], bytes: 0, since: this.now() };
    this.#traces.set(traceId, held);
    held.spans.push(span);
    held.bytes += span.length;
    this.#bytes += span.length;
    this.counters.add("queued");
    for (const oldest of this.#traces.keys()) {
      if (this.#traces.size <= this.limits.traces && this.#bytes <= this.limits.bytes) return;
      this.#evict(oldest);
    }
  }

  #evict(traceId: string): void {
    this.counters.add("tail_evicted", this.#release(traceId).length);
  }

  #release(traceId: string): readonly Buffer[] {
    const held = this.#traces.get(traceId);
    if (held === undefined) return [];
    this.#traces.delete(traceId);
    this.#bytes -= held.bytes;
    this.counters.add("queued", -held.spans.length);
    return held.spans;
  }
}
