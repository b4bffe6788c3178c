import type { ThreadCounters } from "../counters.js";
import type { TraceStore } from "../store/trace-store.js";
import { addCostTags } from "./cost-tags.js";
import type { Delivery } from "./delivery.js";
import { addGpuTags, type GpuHistories } from "./gpu-tags.js";
import { RingReader } from "./ring.js";
import { SpanDecoder } from "./span-codec.js";
import { toZipkinSpan, type ZipkinEndpoint } from "./zipkin-span.js";

export interface Destinations {
  readonly delivery?: Delivery;
  readonly store?: TraceStore;
}

/**
 * From the ring to the destinations, one span at a time. A span counts as delivered when the collector took it;
 * without a collector, when it is in the store.
 */
export class ExportPipeline {
  gpu: GpuHistories = new Map();
  readonly #reader: RingReader;
  readonly #decoder = new SpanDecoder();

  constructor(
    ring: SharedArrayBuffer,
    private readonly counters: ThreadCounters,
    private readonly localEndpoint: () => ZipkinEndpoint,
    private readonly destinations: Destinations,
    private readonly pricePerDeviceHour?: number,
  ) {
    this.#reader = new RingReader(ring);
  }

  /** Takes at most `limit` spans from the ring; true when there may be more. */
  drain(limit = Number.POSITIVE_INFINITY): boolean {
    for (let left = limit; left > 0; left--) {
      if (!this.#reader.read((bytes, start, length) => this.#take(bytes, start, length))) return false;
    }
    return true;
  }

  #take(bytes: Buffer, start: number, length: number): void {
    this.counters.add("read");
    const { delivery, store } = this.destinations;
    try {
      const record = this.#decoder.decode(bytes, start, length);
      addGpuTags(record, this.gpu);
      addCostTags(record, this.gpu, this.pricePerDeviceHour);
      const span = toZipkinSpan(record, this.localEndpoint());
      const json = JSON.stringify(span);
      store?.add(span, json.length);
      if (delivery !== undefined) delivery.offer(json);
      else this.counters.add("delivered");
    } catch {
      this.counters.add("undecodable");
    }
  }
}
