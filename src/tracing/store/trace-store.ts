import { zipkinTraceId } from "../context/trace-context.js";
import type { ZipkinEndpoint, ZipkinSpan } from "../export/zipkin-span.js";

export interface StoreLimits {
  readonly spans: number;
  /** Of the spans' JSON. */
  readonly bytes: number;
  /** Since a trace's first span came, in milliseconds. */
  readonly ageMs: number;
}

/** The age is what searches look back when they do not say how far. */
export const STORE_LIMITS: StoreLimits = { spans: 10_000, bytes: 8 * 2 ** 20, ageMs: 86_400_000 };

export interface StoredTrace {
  readonly id: string;
  readonly spans: readonly ZipkinSpan[];
}

interface Entry {
  readonly spans: ZipkinSpan[];
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

  add(span: ZipkinSpan, bytes: number, now: number): void {
    const entry = this.traces.get(span.traceId) ?? { spans: [], bytes: 0, since: now };
    this.traces.set(span.traceId, entry);
    entry.spans.push(asZipkinStores(span));
    entry.bytes += bytes;
    this.spans++;
    this.bytes += bytes;
  }

  evictOldest(): void {
    for (const [id, { spans, bytes }] of this.traces) {
      this.traces.delete(id);
      this.spans -= spans.length;
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

  /** `bytes` is the length of the span's JSON. */
  add(span: ZipkinSpan, bytes: number): void {
    const shelf = span.name === "engine.step" ? this.#steps : this.#others;
    shelf.add(span, bytes, this.now());
    while (this.#exceeds(this.size, 1)) (this.#exceeds(this.#steps, 0.5) ? this.#steps : this.#others).evictOldest();
    this.#forget();
  }

  #exceeds({ spans, bytes }: Pick<StoreLimits, "spans" | "bytes">, share: number): boolean {
    return spans > this.limits.spans * share || bytes > this.limits.bytes * share;
  }

  #forget(): void {
    const before = this.now() - this.limits.ageMs;
    this.#steps.forget(before);
    this.#others.forget(before);
  }

  /** `id` in the form `normalizeTraceId` gives. */
  trace(id: string): readonly ZipkinSpan[] | undefined {
    this.#forget();
    return (this.#others.traces.get(id) ?? this.#steps.traces.get(id))?.spans;
  }

  *traces(): IterableIterator<StoredTrace> {
    this.#forget();
    for (const { traces } of [this.#others, this.#steps]) {
      for (const [id, { spans }] of traces) yield { id, spans };
    }
  }

  get size(): { readonly traces: number; readonly spans: number; readonly bytes: number } {
    const [steps, others] = [this.#steps, this.#others];
    return {
      traces: steps.traces.size + others.traces.size,
      spans: steps.spans + others.spans,
      bytes: steps.bytes + others.bytes,
    };
  }
}

/** Zipkin lower-cases the names it indexes, and answers them so. */
function asZipkinStores(span: ZipkinSpan): ZipkinSpan {
  return {
    ...span,
    name: span.name.toLowerCase(),
    localEndpoint: lowerCased(span.localEndpoint),
    ...(span.remoteEndpoint === undefined ? {} : { remoteEndpoint: lowerCased(span.remoteEndpoint) }),
  };
}

function lowerCased(endpoint: ZipkinEndpoint): ZipkinEndpoint {
  const { serviceName } = endpoint;
  return serviceName === undefined ? endpoint : { ...endpoint, serviceName: serviceName.toLowerCase() };
}

/** A trace id as a client may write it, in the form traces are filed under; undefined when it is none. */
export function normalizeTraceId(text: string): string | undefined {
  const id = text.trim();
  if (!/^[0-9a-f]{1,32}$/.test(id) || /^0+$/.test(id)) return undefined;
  return zipkinTraceId(id.padStart(32, "0"));
}

/** When the trace began, in microseconds: its root's time, else its earliest span's. */
export function traceTimestamp(spans: readonly ZipkinSpan[]): number {
  const root = spans.find(({ parentId }) => parentId === undefined);
  return root?.timestamp ?? spans.reduce((earliest, { timestamp }) => Math.min(earliest, timestamp), Infinity);
}
