import type { ThreadCounters } from "../counters.js";
import type { TraceStore } from "../store/trace-store.js";
import { addCostTags } from "./cost-tags.js";
import type { Delivery } from "./delivery.js";
import { addGpuTags, type GpuHistories } from "./gpu-tags.js";
import { RingReader } from "./ring.js";
import { SpanDecoder } from "./span-decoder.js";
import type { TailSampler } from "./tail-sampler.js";
import type { ZipkinEncoder } from "./zipkin-json.js";

export interface Outlet {
  readonly delivery: Pick<Delivery, "offer">;
  /** What it queues: Zipkin's span, or the record with its typed attributes. Both as JSON. */
  readonly form: "zipkin" | "record";
}

export interface Outlets {
  readonly collectors: readonly Outlet[];
  readonly store?: TraceStore;
  /** Counts for every collector; without one, for the store. */
  readonly counters: Pick<ThreadCounters, "add">;
  /** Holds what is undecided; without one there is no such span. */
  readonly tail?: TailSampler;
}

/**
 * From the ring to the destinations, one span at a time. A span counts as delivered when the collector took it;
 * without a collector, when it is in the store.
 */
export class ExportPipeline {
  gpu: GpuHistories = new Map();
  readonly #reader: RingReader;
  readonly #decoder = new SpanDecoder();
  /** With OTLP alone, no span has to be in Zipkin's form. */
  readonly #wantsZipkin: boolean;
  readonly #decode = (bytes: Buffer, start: number, length: number) => this.#decoder.decode(bytes, start, length);
  readonly #passOn = (bytes: Buffer, start: number, length: number): void => this.#deliver(bytes, start, length);

  constructor(
    ring: SharedArrayBuffer,
    private readonly encoder: () => ZipkinEncoder,
    private readonly outlets: Outlets,
    private readonly pricePerDeviceHour?: number,
  ) {
    this.#reader = new RingReader(ring);
    const { store, collectors } = outlets;
    this.#wantsZipkin = store !== undefined || collectors.some(({ form }) => form === "zipkin");
  }

  /** Takes at most `limit` spans from the ring; true when there may be more. */
  drain(limit = Number.POSITIVE_INFINITY): boolean {
    this.outlets.tail?.expire();
    for (let left = limit; left > 0; left--) {
      if (!this.#reader.read((bytes, start, length) => this.#take(bytes, start, length))) return false;
    }
    return true;
  }

  #take(bytes: Buffer, start: number, length: number): void {
    const { tail, counters } = this.outlets;
    counters.add("read");
    try {
      if (tail?.take(bytes, start, length, this.#decode, this.#passOn) === true) return;
      this.#deliver(bytes, start, length);
    } catch {
      counters.add("undecodable");
    }
  }

  #deliver(bytes: Buffer, start: number, length: number): void {
    const { collectors, store, counters } = this.outlets;
    try {
      const record = this.#decoder.decode(bytes, start, length);
      addGpuTags(record, this.gpu);
      addCostTags(record, this.gpu, this.pricePerDeviceHour);
      const span = this.#wantsZipkin ? this.encoder().encode(record) : undefined;
      if (span !== undefined) store?.add(span);
      for (const { delivery, form } of collectors) {
        if (form === "zipkin" && span !== undefined) delivery.offer(span.json, span.bytes);
        else delivery.offer(JSON.stringify(record));
      }
      if (collectors.length === 0) counters.add("delivered");
    } catch {
      counters.add("undecodable");
    }
  }
}
