import type { ExportCounters } from "./contract.js";

/** Why a span was not delivered. */
export const DROP_CAUSES = [
  /** The ring had no room: spans end faster than the export thread takes them. */
  "ring_full",
  /** One span larger than the ring or the queue takes. */
  "oversize",
  /** The thread could not read the record. */
  "undecodable",
  /** The queue was at its bound: the collector is slower than the spans come. */
  "queue_full",
  /** No connection, or it broke, in every attempt. */
  "connection_failed",
  "timeout",
  /** The collector answered 5xx or 429 in every attempt. */
  "server_error",
  /** Any other status than 2xx; sending again would not help. */
  "rejected",
  /** Held by an export thread that died. */
  "thread_lost",
  /** Not sent when the time for shutting down was over. */
  "shutdown",
] as const;

const SLOTS = ["read", "queued", "delivered", "sendsOk", "sendsFailed", ...DROP_CAUSES] as const;
export type Slot = (typeof SLOTS)[number];
const INDEX = Object.fromEntries(SLOTS.map((name, index) => [name, index])) as Record<Slot, number>;

/** Counts the export thread keeps in shared memory, so that they are read without asking it and outlive it. */
export class ThreadCounters {
  readonly #cells: BigInt64Array;

  constructor(readonly memory: SharedArrayBuffer = new SharedArrayBuffer(SLOTS.length * 8)) {
    this.#cells = new BigInt64Array(memory);
  }

  add(slot: Slot, count = 1): void {
    Atomics.add(this.#cells, INDEX[slot], BigInt(count));
  }

  get(slot: Slot): number {
    return Number(Atomics.load(this.#cells, INDEX[slot]));
  }

  set(slot: Slot, count: number): void {
    Atomics.store(this.#cells, INDEX[slot], BigInt(count));
  }

  /** Spans the thread took from the ring and neither delivered nor dropped. */
  get unaccounted(): number {
    const lost = DROP_CAUSES.reduce((sum, cause) => sum + this.get(cause), 0);
    return this.get("read") - this.get("delivered") - lost;
  }
}

/** What the producer counts by itself: these never touch shared memory. */
export interface ProducerCounts {
  ended: number;
  written: number;
  ring_full: number;
  oversize: number;
  /** Attributes that the allow-list does not have, by name and type. */
  attributesDropped: number;
}

export function readCounters(producer: ProducerCounts, thread: ThreadCounters): ExportCounters {
  const dropped = Object.fromEntries(DROP_CAUSES.map((cause) => [cause, thread.get(cause)]));
  dropped.ring_full = producer.ring_full;
  dropped.oversize = (dropped.oversize ?? 0) + producer.oversize;
  return {
    ended: producer.ended,
    delivered: thread.get("delivered"),
    // In the ring, and in the thread's queue or in flight.
    queued: producer.written - thread.get("read") + thread.get("queued"),
    dropped,
    sendsOk: thread.get("sendsOk"),
    sendsFailed: thread.get("sendsFailed"),
    attributesDropped: producer.attributesDropped,
  };
}
