import { zipkinTraceId } from "../context/trace-context.js";
import type { EncodedSpan } from "../export/zipkin-json.js";
import { StoredTrace } from "./stored-trace.js";

export interface StoreLimits {
  readonly spans: number;
  /** Of the spans' JSON. */
  readonly bytes: number;
  /** Since a trace's first span came, in milliseconds. */
  readonly ageMs: number;
}

/** The age is what searches look back when they do not say how far. */
export const STORE_LIMITS: StoreLimits = { spans: 10_000, bytes: 8 * 2 ** 20, ageMs: 86_400_000 };

interface Entry {
  readonly trace: StoredTrace;
  bytes: number;
  /** Milliseconds. */
  readonly since: number;
}

/** Traces of one kind. */
class Shelf {
  /** In the order of first sight. */
  readonly traces = new Map<string, Entry>();
  spans = 0;
  bytes = 0;

  /** Whether a trace began with it. */
  add(span: EncodedSpan, now: () => number): boolean {
    let entry = this.traces.get(span.traceId);
    const begins = entry === undefined;
    if (entry === undefined) {
      entry = { trace: new StoredTrace(span.traceId), bytes: 0, since: now() };
      this.traces.set(span.traceId, entry);
    }
    entry.trace.summaries.push(span);
    entry.bytes += span.bytes;
    this.spans++;
    this.bytes += span.bytes;
    return begins;
  }

  evictOldest(): void {
    for (const [id, { trace, bytes }] of this.traces) {
      this.traces.delete(id);
      this.spans -= trace.summaries.length;
      this.bytes -= bytes;
      return;
    }
  }

  forget(before: number): void {
    for (const { since } of this.traces.values()) {
      if (since >= before) return;
      this.evictOldest();
    }
  }
}

/**
 * The last traces. Past a limit the trace that was first seen longest ago goes, whole. An engine takes many steps for a
 * request: their traces (`engine.step`) go first, as long as they have more than half of the room.
 */
export class TraceStore {
  readonly #steps = new Shelf();
  readonly #others = new Shelf();

  constructor(
    private readonly limits: StoreLimits = STORE_LIMITS,
    private readonly now: () => number = Date.now,
  ) {}

  add(span: EncodedSpan): void {
    const shelf = span.name === "engine.step" ? this.#steps : this.#others;
    const begins = shelf.add(span, this.now);
    while (this.#exceeds(this.#spans, this.#bytes, 1)) {
      const { spans, bytes } = this.#steps;
      (this.#exceeds(spans, bytes, 0.5) ? this.#steps : this.#others).evictOldest();
    }
    // Queries look for themselves.
    if (begins) this.#forget();
  }

  #exceeds(spans: number, bytes: number, share: number): boolean {
    return spans > this.limits.spans * share || bytes > this.limits.bytes * share;
  }

  get #spans(): number {
    return this.#steps.spans + this.#others.spans;
  }

  get #bytes(): number {
    return this.#steps.bytes + this.#others.bytes;
  }

  #forget(): void {
    const before = this.now() - this.limits.ageMs;
    this.#steps.forget(before);
    this.#others.forget(before);
  }

  /** `id` in the form `normalizeTraceId` gives. */
  trace(id: string): StoredTrace | undefined {
    this.#forget();
    return (this.#others.traces.get(id) ?? this.#steps.traces.get(id))?.trace;
  }

  *traces(): IterableIterator<StoredTrace> {
    this.#forget();
    for (const { traces } of [this.#others, this.#steps]) {
      for (const { trace } of traces.values()) yield trace;
    }
  }

  get size(): { readonly traces: number; readonly spans: number; readonly bytes: number } {
    return { traces: this.#steps.traces.size + this.#others.traces.size, spans: this.#spans, bytes: this.#bytes };
  }
}

/** A trace id as a client may write it, in the form traces are filed under; undefined when it is none. */
export function normalizeTraceId(text: string): string | undefined {
  const id = text.trim();
  if (!/^[0-9a-f]{1,32}$/.test(id) || /^0+$/.test(id)) return undefined;
  return zipkinTraceId(id.padStart(32, "0"));
}
