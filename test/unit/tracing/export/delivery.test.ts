import assert from "node:assert/strict";
import { DOWN, OK, settle, setUp } from "./delivery-fixtures.js";

describe("Delivery", () => {
  it("sends a full batch at once, and no more spans than that", async () => {
    const { sender, offer, counters, balance } = setUp();
    sender.always = OK;
    offer(511);
    await settle();
    assert.equal(sender.sent.length, 0);
    offer(1);
    await settle();
    assert.deepEqual(
      sender.sent.map(({ spans }) => spans.length),
      [512],
    );
    assert.deepEqual([counters.get("delivered"), counters.get("messages"), counters.get("queued")], [512, 1, 0]);
    balance();
  });

  it("sends the rest 5 s after the first unsent span", async () => {
    const { sender, offer, timers } = setUp();
    sender.always = OK;
    offer(1);
    await timers.advance(4_000);
    offer(1);
    await timers.advance(999);
    assert.equal(sender.sent.length, 0);
    await timers.advance(1);
    assert.equal(sender.sent[0]?.spans.length, 2);
    offer(1);
    await timers.advance(4_999);
    assert.equal(sender.sent.length, 1);
    await timers.advance(1);
    assert.equal(sender.sent.length, 2);
  });

  it("counts the wait of spans that came during a POST from their own arrival", async () => {
    const { sender, offer, timers } = setUp();
    offer(1);
    await timers.advance(5_000);
    await timers.advance(1_000);
    offer(1);
    await timers.advance(3_000);
    await sender.answer(OK);
    sender.always = OK;
    await timers.advance(1_999);
    assert.equal(sender.sent.length, 1);
    await timers.advance(1);
    assert.equal(sender.sent.length, 2);
  });

  it("has one POST in flight", async () => {
    const { sender, offer, timers, balance } = setUp({ batchSpans: 2 });
    offer(6);
    await timers.advance(20_000);
    assert.equal(sender.sent.length, 1);
    for (let round = 0; round < 3; round++) await sender.answer(OK);
    assert.deepEqual([sender.sent.length, sender.most], [3, 1]);
    balance();
  });

  it("keeps a batch under its bytes", async () => {
    const { sender, offer, timers } = setUp({ batchBytes: 50 });
    sender.always = OK;
    offer(7, '{"abc":"0123456"}');
    await timers.advance(5_000);
    assert.ok(sender.sent.length > 1);
    for (const { spans } of sender.sent) assert.ok(`[${spans.join(",")}]`.length <= 50);
  });

  it("bounds the queue by count, what is in flight included", async () => {
    const { offer, counters, balance } = setUp({ batchSpans: 10, queueSpans: 25 });
    offer(100);
    await settle();
    assert.deepEqual([counters.get("queued"), counters.get("queue_full")], [25, 75]);
    balance();
  });

  it("bounds the queue by bytes, and refuses one span too large for a batch", async () => {
    const { offer, counters, balance } = setUp({ queueBytes: 40, batchBytes: 30 });
    offer(10, '{"a":"é"}');
    offer(1, `{"a":"${"x".repeat(30)}"}`);
    assert.deepEqual([counters.get("queued"), counters.get("queue_full"), counters.get("oversize")], [4, 6, 1]);
    balance();
  });

  it("logs the first failure, then at most one a minute, without secrets", async () => {
    const { sender, offer, timers, logs } = setUp({ batchSpans: 1, attempts: 1 });
    sender.always = DOWN;
    for (let second = 0; second < 61; second++) {
      offer(1);
      await timers.advance(1_000);
    }
    assert.equal(logs.length, 2);
    assert.match(logs[0] ?? "", /http:\/\/collector failed: ECONNREFUSED; 1 spans dropped/);
  });

  it("tells of a collector that hangs before its time is up", async () => {
    const { sender, offer, timers, logs } = setUp({ batchSpans: 1, requestTimeoutMs: 10_000 });
    offer(1);
    await timers.advance(4_999);
    assert.deepEqual(logs, []);
    await timers.advance(1);
    assert.match(logs[0] ?? "", /^warn: .*http:\/\/collector failed: no answer for 5000 ms; waiting 5000 ms more/);
    await timers.advance(5_000);
    await sender.answer({ ok: false, cause: "timeout", reason: "no answer within 10000 ms" });
    assert.equal(logs.length, 1);
  });

  it("says nothing of a POST that is answered in time", async () => {
    const { sender, offer, timers, logs } = setUp({ batchSpans: 1 });
    offer(1);
    await timers.advance(4_000);
    await sender.answer(OK);
    await timers.advance(60_000);
    assert.deepEqual(logs, []);
  });

  it("says once when the collector takes spans again, and what was dropped meanwhile, by cause", async () => {
    const { sender, offer, timers, logs } = setUp({ batchSpans: 2, attempts: 1, queueSpans: 4 });
    sender.results = [OK];
    offer(2);
    await settle();
    offer(7);
    await sender.answer(DOWN);
    await sender.answer(OK);
    assert.deepEqual(logs.slice(1), [
      "info: Spans reach http://collector again; dropped meanwhile: 3 queue_full, 2 connection_failed.",
    ]);
    offer(2);
    await sender.answer(OK);
    assert.equal(logs.length, 2);
    // Within the minute of the first line: neither the failure nor its end is worth another.
    offer(2);
    await sender.answer(DOWN);
    offer(2);
    await sender.answer(OK);
    assert.equal(logs.length, 2);
    await timers.advance(60_000);
    offer(2);
    await sender.answer(DOWN);
    offer(2);
    await sender.answer(OK);
    assert.match(logs[3] ?? "", /again; dropped meanwhile: 2 connection_failed\.$/);
  });

  it("says that nothing was dropped when a second attempt was enough", async () => {
    const { sender, offer, timers, logs } = setUp({ batchSpans: 3 });
    sender.results = [DOWN, OK];
    offer(3);
    await settle();
    await timers.advance(1_000);
    assert.match(logs[1] ?? "", /dropped meanwhile: none\.$/);
  });

  it("flushes everything at once, in batches", async () => {
    const { sender, offer, delivery, timers, counters, balance } = setUp({ batchSpans: 2 });
    sender.always = OK;
    offer(1);
    const flushed = delivery.flush(timers.now() + 1_000);
    offer(4);
    await flushed;
    assert.equal(counters.get("delivered"), 5);
    balance();
  });

  it("does not wait out a pause when flushing begins", async () => {
    const { sender, offer, delivery, timers, counters } = setUp({ batchSpans: 2 });
    sender.results = [DOWN, OK];
    offer(2);
    await settle();
    await delivery.flush(timers.now() + 500);
    assert.equal(counters.get("delivered"), 2);
  });

  it("stops flushing at the deadline though a POST hangs, and gives that POST no longer", async () => {
    const { sender, offer, delivery, timers, balance } = setUp();
    offer(3);
    let flushed = false;
    void delivery.flush(timers.now() + 700).then(() => {
      flushed = true;
    });
    await settle();
    assert.equal(sender.sent[0]?.timeoutMs, 700);
    await timers.advance(699);
    assert.equal(flushed, false);
    await timers.advance(1);
    assert.equal(flushed, true);
    balance();
  });

  it("flushes at once when there is nothing", async () => {
    const { delivery, timers } = setUp();
    await delivery.flush(timers.now() + 1_000);
  });
});
