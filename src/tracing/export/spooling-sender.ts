import type { ThreadCounters } from "../counters.js";
import { OncePerMinute } from "../once-per-minute.js";
import { bisect } from "./bisection.js";
import type { DeliveryLimits, Timers } from "./delivery.js";
import { backoffMs } from "./retry.js";
import type { Sender, SendFailed, SendResult } from "./sender.js";
import type { Spool, SpooledBatch } from "./spool.js";

type Log = (level: "info" | "warn" | "error", message: string) => void;

/** Left of a POST's time for writing its batch, should it fail: flushing ends with the time it was given. */
const WRITE_MS = 1_000;

export interface SpoolingParts {
  readonly spool: Spool;
  readonly counters: ThreadCounters;
  readonly limits: DeliveryLimits;
  readonly timers: Timers;
  readonly log: Log;
  /** 0 to 1. */
  readonly random?: () => number;
}

/**
 * Keeps on disk what a collector does not take for now, and sends it in order when it does again. While anything is
 * kept, new batches go behind it and only the replay talks to the collector: one POST in flight, as ever.
 */
export class SpoolingSender implements Sender {
  readonly #minute = new OncePerMinute();
  #failure: SendFailed = {
    ok: false,
    cause: "connection_failed",
    reason: "spans of an earlier run are to be sent first",
  };
  #replaying = false;
  #giveUp = (): void => {};

  constructor(
    private readonly inner: Sender,
    private readonly parts: SpoolingParts,
  ) {
    const { spool, counters, log } = parts;
    // A thread that died knew of some of them.
    const found = spool.spans - counters.get("spooled");
    counters.add(found > 0 ? "recovered" : "spool_damaged", Math.abs(found));
    counters.set("spooled", spool.spans);
    if (spool.batches === 0) return;
    log("info", `${spool.spans} spans wait on disk for ${this.target}; they are sent first.`);
    void this.#replay(0);
  }

  get target(): string {
    return this.inner.target;
  }

  async send(spans: readonly string[], timeoutMs: number): Promise<SendResult> {
    if (this.parts.spool.batches > 0) return this.#keep(spans, this.#failure, "unsent");
    const result = await new Promise<SendResult>((resolve) => {
      this.#giveUp = () => resolve({ ok: false, cause: "timeout", reason: "no answer before shutting down" });
      void this.inner.send(spans, Math.ceil(timeoutMs - Math.min(WRITE_MS, timeoutMs / 4))).then(resolve);
    });
    const passing = passingOf(result);
    return passing === undefined ? result : this.#keep(spans, passing, "sent");
  }

  /** The process ends within `leftMs`: what the collector has not answered for by then is written instead. */
  hurry(leftMs: number): void {
    this.parts.timers.delay(leftMs - Math.min(WRITE_MS, leftMs / 4), () => this.#giveUp());
  }

  close(): void {
    this.inner.close();
  }

  /** A batch that cannot be written has failed as it would have without a spool. */
  async #keep(spans: readonly string[], failure: SendFailed, spooled: "sent" | "unsent"): Promise<SendResult> {
    const { spool, counters, timers, log } = this.parts;
    this.#failure = failure;
    try {
      const { dropped } = await spool.append(spans);
      counters.add("spooled", -dropped);
      counters.add("spool_full", dropped);
    } catch (error) {
      const reason = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
      if (this.#minute.take(timers.now())) log("warn", `Spans could not be kept on disk: ${reason}.`);
      return failure;
    }
    void this.#replay(1);
    return { ...failure, spooled };
  }

  /** @param attempt how often the oldest batch has failed: not at all is sent at once */
  async #replay(attempt: number): Promise<void> {
    if (this.#replaying) return;
    this.#replaying = true;
    const { spool, limits, timers, log, random = Math.random } = this.parts;
    let failures = attempt;
    let delivered = 0;
    for (let batch = spool.oldest; batch !== undefined; batch = spool.oldest) {
      if (failures > 0) {
        const pause = backoffMs(failures, this.#failure.retryAfterMs ?? 0, limits, random());
        await new Promise<void>((resolve) => timers.delay(pause, resolve));
      }
      const taken = await this.#resend(batch);
      failures = taken === undefined ? failures + 1 : 0;
      delivered += taken ?? 0;
    }
    this.#replaying = false;
    log("info", `${delivered} spans that waited on disk reached ${this.target}.`);
  }

  /** Spans taken; undefined where the batch has to be sent again, all of it. */
  async #resend(batch: SpooledBatch): Promise<number | undefined> {
    const { spool } = this.parts;
    const spans = await spool.read(batch);
    if (spans === undefined) return this.#settle(batch, [["spool_damaged", batch.count]]);
    const fates: [Fate, number][] = [];
    let passing: SendFailed | undefined;
    await bisect(
      spans,
      (part) => (passing === undefined ? this.#post(part) : Promise.resolve(passing)),
      (part, result) => {
        passing ??= passingOf(result);
        if (passing === undefined) fates.push([result.ok ? "delivered" : result.cause, part.length]);
      },
    );
    if (passing === undefined) return this.#settle(batch, fates);
    this.#failure = passing;
    return undefined;
  }

  async #post(spans: readonly string[]): Promise<SendResult> {
    const { counters, limits } = this.parts;
    const result = await this.inner.send(spans, limits.requestTimeoutMs);
    counters.add("messages");
    counters.add(
      "messageBytes",
      spans.reduce((sum, json) => sum + Buffer.byteLength(json) + 1, 1),
    );
    if (!result.ok) counters.add(`messages_${result.cause}`);
    return result;
  }

  async #settle(batch: SpooledBatch, fates: readonly (readonly [Fate, number])[]): Promise<number> {
    const { spool, counters } = this.parts;
    // It made room for newer spans while it was under way, and was counted then.
    if (!(await spool.remove(batch))) return 0;
    counters.add("spooled", -batch.count);
    for (const [fate, count] of fates) counters.add(fate, count);
    return fates.reduce((sum, [fate, count]) => sum + (fate === "delivered" ? count : 0), 0);
  }
}

type Fate = "delivered" | "spool_damaged" | SendFailed["cause"];

/** The failure after which the same spans may be taken; undefined for every other result. */
function passingOf(result: SendResult): SendFailed | undefined {
  return result.ok || result.cause === "refused" || result.cause === "rejected" ? undefined : result;
}
