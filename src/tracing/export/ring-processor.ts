import type { Context } from "@opentelemetry/api";
import type { ReadableSpan, Span, SpanProcessor } from "@opentelemetry/sdk-trace-node";
import { samplingState } from "../context/trace-context.js";
import type { ProducerCounts } from "../counters.js";
import { RingWriter } from "./ring.js";
import { type EndedSpan, MAX_SPAN_BYTES, SpanEncoder } from "./span-encoder.js";

/** Hands every finished span to the export thread. Costs the calling thread one encoding into bytes, and never waits. */
export class RingSpanProcessor implements SpanProcessor {
  readonly counts: ProducerCounts = { ended: 0, written: 0, ring_full: 0, oversize: 0, attributesDropped: 0 };
  readonly #ring: RingWriter;
  readonly #encoder: SpanEncoder;
  /** The debug flag is in the context, which `onEnd` does not get. */
  readonly #debug = new WeakSet<ReadableSpan>();

  /** @param isFree spans whose attributes pass whatever their names, but for those that hold content; none when absent */
  constructor(
    ring: SharedArrayBuffer,
    private readonly isFree: (span: ReadableSpan) => boolean = () => false,
  ) {
    this.#ring = new RingWriter(ring, MAX_SPAN_BYTES);
    this.#encoder = new SpanEncoder(this.#ring.bytes, this.#ring.mostBytes);
  }

  onStart(span: Span, parentContext: Context): void {
    if (samplingState(parentContext) === "debug") this.#debug.add(span);
  }

  onEnd(span: ReadableSpan): void {
    this.#write(span, this.#debug.has(span), this.isFree(span));
  }

  /** For a span that was never open. */
  write(span: EndedSpan, debug: boolean): void {
    this.#write(span, debug, false);
  }

  /** Flushing and stopping are the exporter's. */
  async forceFlush(): Promise<void> {}
  async shutdown(): Promise<void> {}

  #write(span: EndedSpan, debug: boolean, free: boolean): void {
    const { counts } = this;
    counts.ended++;
    const start = this.#ring.begin();
    if (start < 0) {
      counts.ring_full++;
      return;
    }
    const length = this.#encoder.encode(span, debug, start, free);
    counts.attributesDropped = this.#encoder.droppedAttributes;
    if (length === 0) {
      counts.oversize++;
      return;
    }
    this.#ring.commit(length);
    counts.written++;
  }
}
