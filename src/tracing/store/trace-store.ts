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

/** The last traces. Past a limit the trace that was first seen longest ago goes, whole. */
export class TraceStore {
  /** In the order of first sight. */
  readonly #traces = new Map<string, Entry>();
  #spans = 0;
  #bytes = 0;

  constructor(
    private readonly limits: StoreLimits = STORE_LIMITS,
    private readonly now: () => number = Date.now,
  ) {}

  /** `bytes` is the length of the span's JSON. */
  add(span: ZipkinSpan, bytes: number): void {
    const entry = this.#traces.get(span.traceId) ?? { spans: [], bytes: 0, since: this.now() };
    this.#traces.set(span.traceId, entry);
    entry.spans.push(asZipkinStores(span));
    entry.bytes += bytes;
    this.#spans++;
    this.#bytes += bytes;
    while (this.#spans > this.limits.spans || this.#bytes > this.limits.bytes) this.#evictOldest();
    this.#forget();
  }

  #forget(): void {
    const oldest = this.now() - this.limits.ageMs;
    for (const { since } of this.#traces.values()) {
      if (since >= oldest) return;
      this.#evictOldest();
    }
  }

  #evictOldest(): void {
    for (const [id, { spans, bytes }] of this.#traces) {
      this.#traces.delete(id);
      this.#spans -= spans.length;
      this.#bytes -= bytes;
      return;
    }
  }

  /** `id` in the form `normalizeTraceId` gives. */
  trace(id: string): readonly ZipkinSpan[] | undefined {
    this.#forget();
    return this.#traces.get(id)?.spans;
  }

  *traces(): IterableIterator<StoredTrace> {
    this.#forget();
    for (const [id, { spans }] of this.#traces) yield { id, spans };
  }

  get size(): { readonly traces: number; readonly spans: number; readonly bytes: number } {
    return { traces: this.#traces.size, spans: this.#spans, bytes: this.#bytes };
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
