import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DROP_CAUSES, ThreadCounters } from "../../../../src/tracing/counters.js";
import { DELIVERY_LIMITS, Delivery } from "../../../../src/tracing/export/delivery.js";
import { Spool } from "../../../../src/tracing/export/spool.js";
import { SpoolingSender } from "../../../../src/tracing/export/spooling-sender.js";
import { DOWN, FakeSender, ManualTimers, OK, REJECTED, settle } from "./delivery-fixtures.js";

/** The disk answers when it does: turns of the event loop until it did. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await settle();
}

describe("spans that wait on disk", () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "vitrine-spool-"));
  });

  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  function setUp(counters = new ThreadCounters(), bytes = 1e6) {
    const inner = new FakeSender();
    const timers = new ManualTimers();
    const logs: string[] = [];
    const log = (level: string, message: string) => void logs.push(`${level}: ${message}`);
    const spool = new Spool(directory, bytes);
    const limits = { ...DELIVERY_LIMITS, batchSpans: 2 };
    const sender = new SpoolingSender(inner, { spool, counters, limits, timers, log, random: () => 1 });
    const delivery = new Delivery(sender, counters, log, limits, timers, () => 1);
    let offered = 0;
    /** A batch of two, written or sent before this is over. */
    const offer = async (name: string) => {
      for (const half of [1, 2]) delivery.offer(`"${name}${half}"`);
      offered += 2;
      await until(() => counters.get("queued") === 0);
      balance();
    };
    const balance = () => {
      const dropped = DROP_CAUSES.reduce((sum, cause) => sum + counters.get(cause), 0);
      const held = counters.get("delivered") + counters.get("queued") + counters.get("spooled");
      assert.equal(held + dropped, offered + counters.get("recovered"));
    };
    const sent = () => inner.sent.map(({ spans }) => spans.join());
    return { inner, timers, logs, spool, counters, offer, balance, sent, sender };
  }

  it("never meet the disk while the collector takes them", async () => {
    const { inner, offer, counters, spool } = setUp();
    inner.always = OK;
    await offer("a");
    assert.deepEqual([counters.get("delivered"), spool.batches, readdirSync(directory)], [2, 0, []]);
  });

  it("are sent in order and once when the collector is back, one POST at a time", async () => {
    const { inner, offer, counters, timers, logs, sent, balance } = setUp();
    inner.always = DOWN;
    for (const name of ["a", "b", "c"]) await offer(name);
    assert.deepEqual(sent(), ['"a1","a2"'], "what comes behind waits without being tried");
    assert.deepEqual([counters.get("spooled"), counters.get("connection_failed")], [6, 0]);
    assert.deepEqual([counters.get("messages"), counters.get("messages_connection_failed")], [1, 1]);
    assert.ok(logs[0]?.includes("ECONNREFUSED; 2 spans kept on disk"), logs[0]);
    await timers.advance(1_000);
    await until(() => sent().length === 2);
    inner.always = OK;
    await settle();
    await timers.advance(2_000);
    await until(() => counters.get("spooled") === 0);
    assert.deepEqual(sent(), ['"a1","a2"', '"a1","a2"', '"a1","a2"', '"b1","b2"', '"c1","c2"']);
    assert.equal(inner.most, 1);
    assert.equal(counters.get("delivered"), 6);
    await until(() => logs.length === 2);
    assert.equal(logs[1], "info: 6 spans that waited on disk reached http://collector.");
    balance();
    await offer("d");
    assert.deepEqual([sent().at(-1), counters.get("delivered"), readdirSync(directory)], ['"d1","d2"', 8, []]);
  });

  it("outlive the process", async () => {
    const before = setUp();
    before.inner.always = DOWN;
    for (const name of ["a", "b"]) await before.offer(name);
    const after = setUp();
    assert.deepEqual([after.counters.get("recovered"), after.counters.get("spooled")], [4, 4]);
    after.inner.always = OK;
    await until(() => after.counters.get("spooled") === 0);
    assert.deepEqual(after.sent(), ['"a1","a2"', '"b1","b2"']);
    assert.equal(after.counters.get("delivered"), 4);
    after.balance();
  });

  it("are counted once when only the thread died", async () => {
    const before = setUp();
    before.inner.always = DOWN;
    await before.offer("a");
    before.counters.settle(2, "thread_lost");
    assert.equal(before.counters.get("thread_lost"), 0, "they are not lost");
    const after = setUp(before.counters);
    assert.equal(after.counters.get("recovered"), 0);
    after.inner.always = OK;
    await until(() => after.counters.get("delivered") === 2);
  });

  it("make room for newer ones, and are counted", async () => {
    const { inner, offer, counters, balance } = setUp(new ThreadCounters(), 30);
    inner.always = DOWN;
    for (const name of ["a", "b", "c", "d"]) await offer(name);
    assert.deepEqual([counters.get("spooled"), counters.get("spool_full")], [4, 4]);
    balance();
  });

  it("are skipped and counted where the file is damaged or the collector wants none of them", async () => {
    const before = setUp();
    before.inner.always = DOWN;
    for (const name of ["a", "b", "c"]) await before.offer(name);
    truncateSync(join(directory, readdirSync(directory).sort()[0] ?? ""), 5);
    const { inner, counters, balance } = setUp();
    inner.results = [REJECTED, OK];
    await until(() => counters.get("spooled") === 0);
    assert.deepEqual([counters.get("spool_damaged"), counters.get("rejected"), counters.get("delivered")], [2, 2, 2]);
    balance();
  });

  it("lose only the one that the collector finds fault with", async () => {
    const before = setUp();
    before.inner.always = DOWN;
    await before.offer("a");
    const { inner, counters, balance } = setUp();
    inner.poison = new Set(['"a2"']);
    inner.always = OK;
    await until(() => counters.get("spooled") === 0);
    assert.deepEqual([counters.get("delivered"), counters.get("refused")], [1, 1]);
    balance();
  });

  it("fail as without a spool where they cannot be written", async () => {
    const { inner, sender, counters, logs } = setUp();
    rmSync(directory, { recursive: true });
    inner.always = DOWN;
    assert.deepEqual(await sender.send(['"a"'], 1_000), DOWN);
    assert.equal(counters.get("spooled"), 0);
    assert.deepEqual(logs, ["warn: Spans could not be kept on disk: ENOENT."]);
  });
});
