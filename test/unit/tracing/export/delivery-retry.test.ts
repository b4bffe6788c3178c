import assert from "node:assert/strict";
import type { SendResult } from "../../../../src/tracing/export/sender.js";
import { DOWN, OK, REFUSED, REJECTED, settle, setUp } from "./delivery-fixtures.js";

const busy = (retryAfterMs: number): SendResult => ({
  ok: false,
  cause: "server_error",
  reason: "HTTP status 503",
  retryAfterMs,
});

describe("Delivery: what it sends again", () => {
  it("tries a batch again with growing pauses, then drops it and counts why", async () => {
    const { sender, offer, timers, counters, balance } = setUp({ batchSpans: 3, attempts: 5, retryMaxMs: 3_000 });
    sender.always = DOWN;
    offer(3);
    await settle();
    for (const [attempt, pause] of [1_000, 2_000, 3_000, 3_000].entries()) {
      await timers.advance(pause - 1);
      assert.equal(sender.sent.length, attempt + 1);
      balance();
      await timers.advance(1);
      assert.equal(sender.sent.length, attempt + 2);
    }
    assert.deepEqual(
      [counters.get("connection_failed"), counters.get("messages_connection_failed"), counters.get("queued")],
      [3, 5, 0],
    );
    balance();
  });

  it("pauses for any part of that, as chance has it", async () => {
    const chances = [0.25, 0, 0.5];
    const { sender, offer, timers } = setUp({ batchSpans: 1 }, () => chances.shift() ?? 0);
    sender.always = DOWN;
    offer(1);
    await settle();
    await timers.advance(249);
    assert.equal(sender.sent.length, 1);
    await timers.advance(1);
    await timers.advance(0);
    assert.equal(sender.sent.length, 3);
    await timers.advance(1_999);
    assert.equal(sender.sent.length, 3);
    await timers.advance(1);
    assert.equal(sender.sent.length, 4);
  });

  it("comes back no earlier than the collector asked, nor later than the most it waits", async () => {
    const { sender, offer, timers } = setUp({ batchSpans: 1, retryAfterMaxMs: 30_000 }, () => 0);
    sender.results = [busy(7_000), busy(3_600_000), OK];
    offer(1);
    await settle();
    await timers.advance(6_999);
    assert.equal(sender.sent.length, 1);
    await timers.advance(1);
    assert.equal(sender.sent.length, 2);
    await timers.advance(29_999);
    assert.equal(sender.sent.length, 2);
    await timers.advance(1);
    assert.equal(sender.sent.length, 3);
  });

  it("delivers when the collector comes back between attempts", async () => {
    const { sender, offer, timers, counters } = setUp({ batchSpans: 3 });
    sender.results = [DOWN, OK];
    offer(3);
    await settle();
    await timers.advance(1_000);
    assert.deepEqual(
      [counters.get("delivered"), counters.get("messages"), counters.get("messages_connection_failed")],
      [3, 2, 1],
    );
  });

  it("does not repeat what is rejected for good, nor look for a bad span in it", async () => {
    const { sender, offer, timers, counters, balance } = setUp({ batchSpans: 3 });
    sender.results = [REJECTED];
    offer(3);
    await timers.advance(60_000);
    assert.deepEqual([sender.sent.length, counters.get("rejected")], [1, 3]);
    balance();
  });

  it("bounds what all POSTs of a batch take, and the last one's time by what is left", async () => {
    const { sender, offer, timers, counters, balance } = setUp({ batchSpans: 1, batchTotalMs: 25_000, retryMs: 100 });
    const late: SendResult = { ok: false, cause: "timeout", reason: "no answer" };
    offer(1);
    for (const ms of [10_000, 10_000]) {
      await timers.advance(ms);
      await sender.answer(late);
      await timers.advance(200);
    }
    assert.deepEqual(
      sender.sent.map(({ timeoutMs }) => timeoutMs),
      [10_000, 10_000, 4_600],
    );
    await timers.advance(4_600);
    await sender.answer(late);
    assert.deepEqual([counters.get("timeout"), counters.get("queued")], [1, 0]);
    balance();
  });

  it("takes newer spans up to the queue's bound while a batch is tried again", async () => {
    const { sender, offer, timers, counters, balance } = setUp({ batchSpans: 2, queueSpans: 6 });
    sender.results = [DOWN, OK, OK, OK];
    offer(2);
    await settle();
    offer(5);
    assert.deepEqual([counters.get("queued"), counters.get("queue_full")], [6, 1]);
    await timers.advance(1_000);
    assert.deepEqual([counters.get("delivered"), counters.get("queued")], [6, 0]);
    balance();
  });

  it("has one attempt left for each batch while flushing", async () => {
    const { sender, offer, delivery, timers, counters, balance } = setUp({ batchSpans: 2 });
    sender.always = DOWN;
    offer(5);
    await settle();
    await delivery.flush(timers.now() + 5_000);
    assert.deepEqual([sender.sent.length, counters.get("connection_failed")], [4, 5]);
    balance();
  });

  it("counts POSTs and bytes as zipkin-reporter does", async () => {
    const { sender, offer, counters } = setUp({ batchSpans: 2 });
    sender.always = OK;
    offer(3, "{}");
    await settle();
    assert.deepEqual([counters.get("spanBytes"), counters.get("queuedBytes")], [6, 2]);
    assert.deepEqual([counters.get("messages"), counters.get("messageBytes")], [1, "[{},{}]".length]);
  });
});

describe("Delivery: batches that are refused", () => {
  const BATCH = Array.from({ length: 512 }, (_, id) => `{"id":${id}}`);

  function refusing(poison: Iterable<string>, limits = {}) {
    const all = setUp(limits);
    all.sender.poison = new Set(poison);
    all.sender.always = OK;
    return { ...all, deliver: () => BATCH.forEach((span) => void all.offer(1, span)) };
  }

  for (const [what, bad] of [
    ["first", [0]],
    ["last", [511]],
    ["neighbours", [100, 101, 102]],
    ["scattered", [3, 77, 200, 350, 511]],
  ] as const) {
    it(`delivers all but the bad spans: ${what}`, async () => {
      const poison = bad.map((id) => BATCH[id] ?? "");
      const { sender, counters, deliver, balance } = refusing(poison);
      deliver();
      await settle();
      assert.deepEqual(
        [counters.get("delivered"), counters.get("refused"), counters.get("queued")],
        [512 - bad.length, bad.length, 0],
      );
      const taken = sender.sent.filter(({ spans }) => !spans.some((span) => poison.includes(span)));
      const ids = taken.flatMap(({ spans }) => spans);
      assert.deepEqual([ids.length, new Set(ids).size], [512 - bad.length, 512 - bad.length], "each once");
      assert.ok(sender.sent.length <= 1 + 18 * bad.length, `${sender.sent.length} POSTs`);
      balance();
    });
  }

  it("gives up soon on a collector that refuses everything", async () => {
    const { sender, counters, deliver, balance } = refusing(BATCH);
    deliver();
    await settle();
    assert.deepEqual([counters.get("refused"), counters.get("queued")], [512, 0]);
    assert.ok(sender.sent.length <= 25, `${sender.sent.length} POSTs`);
    balance();
  });

  it("bounds the POSTs of a batch with many bad spans", async () => {
    const { sender, counters, deliver, balance } = refusing(BATCH.filter((_, id) => id % 5 === 0));
    deliver();
    await settle();
    assert.ok(sender.sent.length <= 129, `${sender.sent.length} POSTs`);
    assert.ok(counters.get("delivered") > 0);
    balance();
  });

  it("tries a half again that meets an outage, and keeps the bad span apart", async () => {
    const { sender, timers, counters, offer, balance } = setUp({ batchSpans: 4 });
    sender.results = [REFUSED, DOWN, OK, REFUSED, OK, REFUSED];
    offer(4);
    await settle();
    await timers.advance(1_000);
    assert.deepEqual(
      sender.sent.map(({ spans }) => spans.length),
      [4, 2, 2, 2, 1, 1],
    );
    assert.deepEqual([counters.get("delivered"), counters.get("refused")], [3, 1]);
    balance();
  });

  it("says of refused spans neither that the collector is away nor that it is back", async () => {
    const { logs, deliver } = refusing([BATCH[9] ?? ""]);
    deliver();
    await settle();
    assert.deepEqual(logs, []);
  });
});
