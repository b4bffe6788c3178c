import assert from "node:assert/strict";
import { DROP_CAUSES, ThreadCounters } from "../../../../src/tracing/counters.js";
import {
  DELIVERY_LIMITS,
  Delivery,
  type DeliveryLimits,
  type Timers,
} from "../../../../src/tracing/export/delivery.js";
import type { Sender, SendResult } from "../../../../src/tracing/export/sender.js";

export class ManualTimers implements Timers {
  #now = 1_000;
  #waiting: { at: number; then: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  delay(ms: number, then: () => void): () => void {
    const entry = { at: this.#now + ms, then };
    this.#waiting.push(entry);
    return () => {
      this.#waiting = this.#waiting.filter((one) => one !== entry);
    };
  }

  async advance(ms: number): Promise<void> {
    this.#now += ms;
    const due = this.#waiting.filter(({ at }) => at <= this.#now);
    this.#waiting = this.#waiting.filter(({ at }) => at > this.#now);
    for (const { then } of due) then();
    await settle();
  }
}

export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export const OK: SendResult = { ok: true };
/** No connection. */
export const DOWN: SendResult = { ok: false, cause: "connection_failed", reason: "ECONNREFUSED" };
export const REJECTED: SendResult = { ok: false, cause: "rejected", reason: "HTTP status 403" };
export const REFUSED: SendResult = { ok: false, cause: "refused", reason: "HTTP status 400" };

export class FakeSender implements Sender {
  readonly target = "http://collector";
  readonly sent: { spans: readonly string[]; timeoutMs: number }[] = [];
  /** What each POST comes to; without an entry it hangs. */
  results: SendResult[] = [];
  always: SendResult | undefined;
  /** Spans found fault with, alone or among others. */
  poison: ReadonlySet<string> | undefined;
  most = 0;
  #open = 0;
  #hanging: ((result: SendResult) => void)[] = [];

  async send(spans: readonly string[], timeoutMs: number): Promise<SendResult> {
    this.sent.push({ spans, timeoutMs });
    this.most = Math.max(this.most, ++this.#open);
    const bad = spans.some((span) => this.poison?.has(span));
    const result = bad ? REFUSED : (this.always ?? this.results.shift());
    const settled = result ?? (await new Promise<SendResult>((resolve) => this.#hanging.push(resolve)));
    this.#open--;
    return settled;
  }

  async answer(result: SendResult): Promise<void> {
    this.#hanging.shift()?.(result);
    await settle();
  }

  close(): void {}
}

/** A Delivery whose pauses are as long as chance allows, unless `random` says otherwise. */
export function setUp(limits: Partial<DeliveryLimits> = {}, random = () => 1) {
  const sender = new FakeSender();
  const counters = new ThreadCounters();
  const timers = new ManualTimers();
  const logs: string[] = [];
  const log = (level: string, message: string) => void logs.push(`${level}: ${message}`);
  const delivery = new Delivery(sender, counters, log, { ...DELIVERY_LIMITS, ...limits }, timers, random);
  let offered = 0;
  const offer = (count: number, json = '{"a":1}') => {
    for (let left = count; left > 0; left--) delivery.offer(json);
    offered += count;
  };
  /** Every span offered is delivered, dropped or queued, always. */
  const balance = () => {
    const dropped = DROP_CAUSES.reduce((sum, cause) => sum + counters.get(cause), 0);
    assert.equal(counters.get("delivered") + dropped + counters.get("queued"), offered);
  };
  return { sender, counters, timers, logs, delivery, offer, balance };
}
