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
  /** One side did not take the other's certificate, or TLS failed in another way, in every attempt. */
  "tls_failed",
  "timeout",
  /** The collector answered 5xx or 429 in every attempt. */
  "server_error",
  /** The collector found fault with the span itself (400, 413, 422). */
  "refused",
  /** Any other status than 2xx; sending again would not help. */
  "rejected",
  /** On disk, but older than the newest that fit there. */
  "spool_full",
  /** On disk, but not as they were written. */
  "spool_damaged",
  /** Held by the tail sampler until its memory or patience was over. */
  "tail_evicted",
  /** Held by an export thread that died. */
  "thread_lost",
  /** Not sent when the time for shutting down was over. */
  "shutdown",
] as const;

export type DropCause = (typeof DROP_CAUSES)[number];

/** How a POST fails. */
const SEND_FAILURES = ["connection_failed", "tls_failed", "timeout", "server_error", "refused", "rejected"] as const;
export type SendFailure = (typeof SEND_FAILURES)[number];

const SLOTS = [
  "read",
  "queued",
  "queuedBytes",
  "delivered",
  "sampledOut",
  /** On disk, until a collector takes them. */
  "spooled",
  /** Found on disk at start: left by an earlier process or thread, so not among what ended here. */
  "recovered",
  "spanBytes",
  "messages",
  "messageBytes",
  ...SEND_FAILURES.map((cause) => `messages_${cause}` as const),
  ...DROP_CAUSES,
] as const;
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

  /** Counts what a thread that is gone still held. @param read spans it took from the ring, whatever it got to count */
  settle(read: number, cause: "thread_lost" | "shutdown"): void {
    const lost = DROP_CAUSES.reduce((sum, each) => sum + this.get(each), 0);
    this.set("read", read);
    const settled = this.get("delivered") + this.get("sampledOut") + this.get("spooled") + lost;
    this.add(cause, read + this.get("recovered") - settled);
    this.set("queued", 0);
    this.set("queuedBytes", 0);
  }
}

/** Counts the same in all. */
export function countingAll(counters: readonly ThreadCounters[]): Pick<ThreadCounters, "add"> {
  return {
    add: (slot, count) => {
      for (const each of counters) each.add(slot, count);
    },
  };
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
    sampledOut: thread.get("sampledOut"),
    // In the ring, held by the tail sampler, and in the thread's queue or in flight.
    queued: producer.written - thread.get("read") + thread.get("queued"),
    spooled: thread.get("spooled"),
    recovered: thread.get("recovered"),
    dropped,
    spanBytes: thread.get("spanBytes"),
    queuedBytes: thread.get("queuedBytes"),
    messages: thread.get("messages"),
    messageBytes: thread.get("messageBytes"),
    messagesDropped: Object.fromEntries(SEND_FAILURES.map((cause) => [cause, thread.get(`messages_${cause}`)])),
    attributesDropped: producer.attributesDropped,
  };
}

/** Counted alike for every destination: these spans were lost before they went to each. */
const COMMON_CAUSES: ReadonlySet<DropCause> = new Set(["ring_full", "undecodable", "tail_evicted"]);

/** @param thread counters of any destination */
export function dropsBeforeDestinations(producer: ProducerCounts, thread: ThreadCounters): Record<string, number> {
  const { ring_full, oversize } = producer;
  const counted = [...COMMON_CAUSES].map((cause) => [cause, thread.get(cause)]);
  return { ...Object.fromEntries(counted), ring_full, oversize };
}

export function dropsAtDestination(thread: ThreadCounters): Record<string, number> {
  const own = DROP_CAUSES.filter((cause) => !COMMON_CAUSES.has(cause));
  return Object.fromEntries(own.map((cause) => [cause, thread.get(cause)]));
}

/** One line for the log; causes that never were are left out. */
export function totals({ ended, delivered, sampledOut, queued, spooled, recovered, dropped }: ExportCounters): string {
  const causes = Object.entries(dropped).filter(([, count]) => count > 0);
  const lost = causes.reduce((sum, [, count]) => sum + count, 0);
  const why = causes.length === 0 ? "" : ` (${causes.map(([cause, count]) => `${count} ${cause}`).join(", ")})`;
  const disk = spooled + recovered === 0 ? "" : `, ${spooled} on disk (${recovered} found there at start)`;
  return `${ended} ended, ${delivered} delivered, ${lost} dropped${why}, ${sampledOut} sampled out, ${queued} queued${disk}`;
}
