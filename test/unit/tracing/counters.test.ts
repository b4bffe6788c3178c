import assert from "node:assert/strict";
import {
  dropsAtDestination,
  dropsBeforeDestinations,
  readCounters,
  ThreadCounters,
  totals,
} from "../../../src/tracing/counters.js";

/** 10 spans ended: 2 met a full ring, 8 were written to it. */
const PRODUCED = { ended: 10, written: 8, ring_full: 2, oversize: 0, attributesDropped: 0 };

function thread(read: number): ThreadCounters {
  const counters = new ThreadCounters();
  counters.add("read", read);
  counters.add("delivered", 2);
  counters.add("sampledOut");
  counters.add("refused", 1);
  counters.add("queued", 2);
  counters.add("queuedBytes", 200);
  return counters;
}

describe("ThreadCounters", () => {
  it("counts as queued what is in the ring and what the thread holds", () => {
    const { queued, dropped } = readCounters(PRODUCED, thread(6));
    assert.deepEqual([queued, dropped.ring_full, dropped.refused], [4, 2, 1]);
  });

  it("counts what a dead thread held as lost, and what is in the ring as waiting", () => {
    const counters = thread(6);
    counters.settle(6, "thread_lost");
    const { queued, queuedBytes, dropped } = readCounters(PRODUCED, counters);
    assert.deepEqual([queued, queuedBytes, dropped.thread_lost], [2, 0, 2]);
  });

  // A thread may die between taking a span and counting that, or the other way round.
  for (const counted of [5, 7]) {
    it(`believes the ring and not the dead thread, which counted ${counted} of 6 spans taken`, () => {
      const counters = thread(counted);
      counters.settle(6, "thread_lost");
      const { queued, dropped } = readCounters(PRODUCED, counters);
      assert.deepEqual([queued, dropped.thread_lost], [2, 2]);
    });
  }

  it("counts everything left as dropped at the end", () => {
    const counters = thread(6);
    counters.settle(PRODUCED.written, "shutdown");
    const { queued, dropped } = readCounters(PRODUCED, counters);
    assert.deepEqual([queued, dropped.shutdown], [0, 4]);
  });

  it("tells what was lost on the way to all destinations from what one of them lost", () => {
    const counters = thread(6);
    counters.add("tail_evicted", 3);
    counters.add("oversize", 4);
    const before = dropsBeforeDestinations({ ...PRODUCED, oversize: 1 }, counters);
    assert.deepEqual(before, { ring_full: 2, oversize: 1, undecodable: 0, tail_evicted: 3 });
    const { oversize, refused, ...others } = dropsAtDestination(counters);
    assert.deepEqual([oversize, refused], [4, 1]);
    for (const cause of ["ring_full", "undecodable", "tail_evicted"]) assert.ok(!(cause in others), cause);
  });

  it("sums up in a line", () => {
    assert.equal(
      totals(readCounters(PRODUCED, thread(6))),
      "10 ended, 2 delivered, 3 dropped (2 ring_full, 1 refused), 1 sampled out, 4 queued",
    );
    assert.equal(
      totals(readCounters({ ...PRODUCED, ended: 0, written: 0, ring_full: 0 }, new ThreadCounters())),
      "0 ended, 0 delivered, 0 dropped, 0 sampled out, 0 queued",
    );
  });
});
