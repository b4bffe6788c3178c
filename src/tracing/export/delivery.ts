import type { ThreadCounters } from "../counters.js";
import { bisect } from "./bisection.js";
import { Outage } from "./outage.js";
import { backoffMs, type RetryLimits } from "./retry.js";
import type { Sender, SendResult } from "./sender.js";

export interface DeliveryLimits extends RetryLimits {
  /** Spans a POST, at most. */
  readonly batchSpans: number;
  readonly batchBytes: number;
  /** How long a span waits for its batch to fill. */
  readonly batchMs: number;
  readonly queueSpans: number;
  readonly queueBytes: number;
  readonly requestTimeoutMs: number;
  /** What all POSTs of one batch and the pauses between them may take. */
  readonly batchTotalMs: number;
}

export const DELIVERY_LIMITS: DeliveryLimits = {
  batchSpans: 512,
  batchBytes: 4 * 2 ** 20,
  batchMs: 5_000,
  queueSpans: 10_000,
  queueBytes: 16 * 2 ** 20,
  requestTimeoutMs: 10_000,
  batchTotalMs: 60_000,
  attempts: 8,
  retryMs: 1_000,
  retryMaxMs: 10_000,
  retryAfterMaxMs: 30_000,
};

/** Time, injectable for tests. `delay` returns a function that ends the wait early. */
export interface Timers {
  now(): number;
  delay(ms: number, then: () => void): () => void;
}

export const systemTimers: Timers = {
  now: () => performance.now(),
  delay(ms, then) {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
};

interface Queued {
  readonly json: string;
  readonly bytes: number;
  readonly at: number;
}

type Log = (level: "info" | "warn" | "error", message: string) => void;

/** Bounded queue, batches and retries in front of one collector. One POST in flight. */
export class Delivery {
  #queue: Queued[] = [];
  /** Spans and bytes held: queued and in flight. */
  #spans = 0;
  #bytes = 0;
  #sending = false;
  #cancelWait: (() => void) | undefined;
  #deadline: number | undefined;
  readonly #outage: Outage;
  #idle: (() => void)[] = [];

  constructor(
    private readonly sender: Sender,
    private readonly counters: ThreadCounters,
    log: Log,
    private readonly limits: DeliveryLimits = DELIVERY_LIMITS,
    private readonly timers: Timers = systemTimers,
    private readonly random: () => number = Math.random,
  ) {
    this.#outage = new Outage(sender.target, counters, log);
  }

  /** Queues one span, as JSON of so many bytes, or counts why not. */
  offer(json: string, bytes = Buffer.byteLength(json)): void {
    this.counters.add("spanBytes", bytes);
    if (bytes + 2 > this.limits.batchBytes) {
      this.counters.add("oversize");
      return;
    }
    // The newest is refused: what is queued belongs to traces that are partly delivered already.
    if (this.#spans >= this.limits.queueSpans || this.#bytes + bytes > this.limits.queueBytes) {
      this.counters.add("queue_full");
      return;
    }
    this.#queue.push({ json, bytes, at: this.timers.now() });
    this.#spans++;
    this.#bytes += bytes;
    this.counters.add("queued");
    this.counters.add("queuedBytes", bytes);
    this.#schedule();
  }

  /** Sends everything now, without waiting for batches to fill or for retries, until `deadline` (of `timers.now`). */
  flush(deadline: number): Promise<void> {
    this.#deadline = deadline;
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      // A POST that began before may outlast the deadline; whoever waits does not.
      this.timers.delay(this.#timeLeft(), resolve);
      this.#cancelWait?.();
      this.#cancelWait = undefined;
      if (!this.#sending) this.#sendNext();
    });
  }

  #schedule(): void {
    if (this.#sending) return;
    const oldest = this.#queue[0];
    if (oldest === undefined) return;
    if (this.#batchIsFull() || this.#deadline !== undefined) {
      this.#cancelWait?.();
      this.#cancelWait = undefined;
      this.#sendNext();
    } else if (this.#cancelWait === undefined) {
      const left = Math.max(0, oldest.at + this.limits.batchMs - this.timers.now());
      this.#cancelWait = this.timers.delay(left, () => {
        this.#cancelWait = undefined;
        this.#sendNext();
      });
    }
  }

  #batchIsFull(): boolean {
    return this.#queue.length >= this.limits.batchSpans || this.#bytes >= this.limits.batchBytes;
  }

  #takeBatch(): Queued[] {
    let count = 0;
    let bytes = 2;
    for (const span of this.#queue) {
      bytes += span.bytes + 1;
      if (count === this.limits.batchSpans || bytes > this.limits.batchBytes) break;
      count++;
    }
    return this.#queue.splice(0, Math.max(1, count));
  }

  #sendNext(): void {
    if (this.#queue.length === 0 || this.#timeLeft() <= 0) {
      for (const resolve of this.#idle.splice(0)) resolve();
      return;
    }
    this.#sending = true;
    const batch = this.#takeBatch();
    void this.#deliver(batch).then(() => {
      this.#sending = false;
      if (this.#deadline === undefined) this.#schedule();
      else this.#sendNext();
    });
  }

  async #deliver(batch: readonly Queued[]): Promise<void> {
    const until = this.timers.now() + this.limits.batchTotalMs;
    await bisect(
      batch,
      (part) => this.#attempt(part, until),
      (part, result) => this.#settle(part, result),
    );
  }

  /** Sends the same spans until they are taken, refused for good, or out of attempts or time; while flushing, once. */
  async #attempt(part: readonly Queued[], until: number): Promise<SendResult> {
    for (let attempt = 1; ; attempt++) {
      const result = await this.#send(part, Math.min(until - this.timers.now(), this.#timeLeft()));
      if (result.ok || result.spooled || result.cause === "refused" || result.cause === "rejected") return result;
      const pause = backoffMs(attempt, result.retryAfterMs ?? 0, this.limits, this.random());
      const givenUp = attempt >= this.limits.attempts || this.timers.now() + pause >= until;
      if (givenUp || this.#deadline !== undefined) return result;
      this.#outage.failed(this.timers.now(), result.reason, "will try again");
      await this.#pause(pause);
    }
  }

  /** One POST. A collector that hangs is told of before the time it has is up. */
  async #send(part: readonly Queued[], leftMs: number): Promise<SendResult> {
    if (leftMs <= 0) return { ok: false, cause: "timeout", reason: "its time was up" };
    const timeoutMs = Math.ceil(Math.min(this.limits.requestTimeoutMs, leftMs));
    const patience = timeoutMs / 2;
    const cancel = this.timers.delay(patience, () => {
      const reason = `no answer for ${patience} ms`;
      this.#outage.failed(this.timers.now(), reason, `waiting ${timeoutMs - patience} ms more`);
    });
    const spans = part.map(({ json }) => json);
    const result = await this.sender.send(spans, timeoutMs);
    cancel();
    if (!result.ok && result.spooled === "unsent") return result;
    this.counters.add("messages");
    this.counters.add("messageBytes", bytesOf(part) + part.length + 1);
    if (!result.ok) this.counters.add(`messages_${result.cause}`);
    return result;
  }

  #settle(part: readonly Queued[], result: SendResult): void {
    const bytes = bytesOf(part);
    this.#spans -= part.length;
    this.#bytes -= bytes;
    this.counters.add("queued", -part.length);
    this.counters.add("queuedBytes", -bytes);
    const spooled = !result.ok && result.spooled !== undefined;
    this.counters.add(result.ok ? "delivered" : spooled ? "spooled" : result.cause, part.length);
    if (result.ok) this.#outage.over();
    // A collector that finds fault with a span is there.
    else if (result.cause !== "refused") {
      this.#outage.failed(
        this.timers.now(),
        result.reason,
        `${part.length} spans ${spooled ? "kept on disk" : "dropped"}`,
      );
    }
  }

  /** Ends early when flushing begins. */
  #pause(ms: number): Promise<void> {
    return new Promise<void>((resolve) => {
      const cancel = this.timers.delay(ms, resolve);
      this.#cancelWait = () => {
        cancel();
        resolve();
      };
    }).then(() => {
      this.#cancelWait = undefined;
    });
  }

  #timeLeft(): number {
    return this.#deadline === undefined ? Number.POSITIVE_INFINITY : this.#deadline - this.timers.now();
  }
}

function bytesOf(spans: readonly Queued[]): number {
  return spans.reduce((sum, { bytes }) => sum + bytes, 0);
}
