import assert from "node:assert/strict";
import { Budget, type Limit } from "../../../../src/bench/load/budget.js";
import { closedLoop, openLoop, type Work } from "../../../../src/bench/load/loops.js";
import { LatencyHistogram } from "../../../../src/bench/metrics/latency-histogram.js";
import { VirtualClock } from "../../../support/virtual-clock.js";

const requests = (count: number): Limit => ({ kind: "requests", count });
const IDLE = new AbortController().signal;

interface Played {
  readonly intended: number;
  readonly sent: number;
  readonly ready: number;
}

/** Work whose requests take as long as `tookMs` says, by their number. */
class Bench {
  readonly clock = new VirtualClock();
  readonly played: Played[] = [];
  most = 0;
  #inside = 0;

  constructor(private readonly tookMs: (index: number, now: number) => number) {}

  context(limit: Limit, signal: AbortSignal = IDLE) {
    return { clock: this.clock, budget: new Budget(limit, this.clock.now(), signal), signal };
  }

  readonly work: Work = {
    play: async (intended, ready) => {
      const index = this.played.push({ intended, ready, sent: this.clock.now() }) - 1;
      this.most = Math.max(this.most, ++this.#inside);
      const end = this.clock.now() + this.tookMs(index, this.clock.now());
      await this.clock.until(end);
      this.#inside -= 1;
      return { at: end, unreachable: false };
    },
  };
}

describe("closed loop", () => {
  it("keeps so many under way, each due when its user's last answer was complete", async () => {
    const bench = new Bench((index) => (index === 0 ? 30 : 10));
    await bench.clock.play(closedLoop(2, bench.work, bench.context(requests(6))));
    assert.deepEqual(
      bench.played.map(({ intended }) => intended),
      [0, 0, 10, 20, 30, 30],
    );
    assert.equal(bench.most, 2);
  });

  it("begins nothing after its duration, and finishes what is under way", async () => {
    const bench = new Bench(() => 40);
    await bench.clock.play(closedLoop(1, bench.work, bench.context({ kind: "duration", ms: 100 })));
    assert.deepEqual(
      bench.played.map(({ intended }) => intended),
      [0, 40, 80],
    );
    assert.equal(bench.clock.now(), 120);
  });

  it("pauses where no connection comes about, instead of spinning", async () => {
    const clock = new VirtualClock();
    const due: number[] = [];
    const play = async (intended: number) => {
      due.push(intended);
      return { at: clock.now(), unreachable: true };
    };
    const budget = new Budget({ kind: "duration", ms: 350 }, 0, IDLE);
    await clock.play(closedLoop(1, { play }, { clock, budget, signal: IDLE }));
    assert.deepEqual(due, [0, 100, 200, 300]);
  });

  it("ends when it is told to", async () => {
    const abort = new AbortController();
    const bench = new Bench((index) => {
      if (index === 2) abort.abort();
      return 10;
    });
    await bench.clock.play(closedLoop(1, bench.work, bench.context(requests(100), abort.signal)));
    assert.equal(bench.played.length, 3);
  });
});

describe("open loop", () => {
  it("sends at the times of the schedule, whatever became of the requests before", async () => {
    const bench = new Bench(() => 1_000);
    await bench.clock.play(openLoop([0, 10, 10, 35], bench.work, bench.context(requests(4))));
    assert.deepEqual(
      bench.played.map(({ sent }) => sent),
      [0, 10, 10, 35],
    );
    assert.equal(bench.most, 4);
    assert.equal(bench.clock.now(), 1_035, "it waits for the last answer");
  });

  it("ends with its budget: by number, or at the first arrival after its duration", async () => {
    const times = [0, 10, 20, 30, 40];
    for (const limit of [requests(3), { kind: "duration", ms: 30 } as const]) {
      const bench = new Bench(() => 1);
      await bench.clock.play(openLoop(times, bench.work, bench.context(limit)));
      assert.equal(bench.played.length, 3);
    }
  });

  it("charges a target that stalls for every request that was due meanwhile", async () => {
    // 100 a second for 10 s, one at a time; the target takes 1 ms, and once stands still for a second.
    const bench = new Bench((_, now) => (now >= 5_000 && now < 5_010 ? 1_000 : 1));
    const times = Array.from({ length: 1_000 }, (_, i) => i * 10);
    const latencies = new LatencyHistogram();
    const { work } = bench;
    const timed: Work = {
      play: async (intended, ready) => {
        const end = await work.play(intended, ready);
        latencies.add(end.at - intended);
        return end;
      },
    };
    await bench.clock.play(openLoop(times, timed, bench.context(requests(1_000)), 1));
    assert.equal(bench.most, 1);
    // From when they were sent, 999 of 1,000 took 1 ms, and p99 would be 1 ms.
    assert.equal(latencies.percentile(50), 1);
    assert.ok(latencies.percentile(99) > 890, `p99 ${latencies.percentile(99)}`);
    assert.ok(latencies.percentile(95) > 450, `p95 ${latencies.percentile(95)}`);
  });

  it("keeps the intended time when the harness itself is held up, and says that nothing else held it", async () => {
    const bench = new Bench((index) => {
      if (index === 0) bench.clock.stall(100);
      return 1;
    });
    await bench.clock.play(openLoop([0, 10, 20], bench.work, bench.context(requests(3))));
    assert.deepEqual(bench.played.slice(1), [
      { intended: 10, ready: 10, sent: 100 },
      { intended: 20, ready: 20, sent: 100 },
    ]);
  });

  it("tells what waited for room from what the harness made late", async () => {
    const bench = new Bench(() => 50);
    await bench.clock.play(openLoop([0, 10], bench.work, bench.context(requests(2)), 1));
    assert.deepEqual(bench.played[1], { intended: 10, ready: 50, sent: 50 });
  });
});
