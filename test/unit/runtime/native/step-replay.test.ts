import assert from "node:assert/strict";
import { NativeError, OrtEnvironment, type OrtRunOptions } from "../../../../native/ort.js";
import { StepReplay } from "../../../../src/runtime/native/step-replay.js";

const BEFORE = 16;
const MOST_CAPTURES = 64;

/** Stands for a window: says what it did, and has the logits of its last run. */
class FakeWindow {
  constructor(
    readonly rows: number,
    readonly runOptions: OrtRunOptions | undefined,
    private readonly run_: (window: FakeWindow) => number,
  ) {}
  #seed = 0;

  bind(fed: number): void {
    assert.equal(fed, 1);
  }

  run(): void {
    this.#seed = this.run_(this);
  }

  logitsOf(row: number): Float32Array {
    assert.ok(row < this.rows);
    return Float32Array.of(row, this.#seed, 3, -1);
  }
}

describe("step replay", () => {
  /** Rows of the cache by their lengths. */
  function open(lengths: number[] = [3, 3, 3, 3], tokens = 10) {
    const cache = { rows: lengths.length, tokens, lengthInRow: (row: number) => lengths[row] ?? 0 };
    const replay = new StepReplay<FakeWindow>(OrtEnvironment.open(), cache);
    const spare: number[] = [];
    /** What a run gives; a run with options is a captured one. */
    let run = (_: FakeWindow): number => 7;
    const captured: FakeWindow[] = [];
    const windows = {
      plain: (first: number, count: number) => {
        assert.equal(first, 0);
        return new FakeWindow(count, undefined, (window) => run(window));
      },
      captured: (count: number, options: OrtRunOptions) => {
        const window = new FakeWindow(count, options, (it) => run(it));
        captured.push(window);
        return window;
      },
    };
    const take = (count: number) => replay.take({ count, windows, feedSpare: (row) => spare.push(row) });
    const settle = (count: number): void => {
      for (let step = 0; step < replay.stepsBefore; step++) take(count);
    };
    const onRun = (next: typeof run): void => {
      run = next;
    };
    return { replay, take, settle, spare, captured, onRun, lengths, cache };
  }

  it("captures a batch size when enough steps have wanted it", () => {
    const { take, captured } = open();
    const taken = Array.from({ length: BEFORE }, () => take(1));
    assert.ok(taken.every((window) => window === undefined));
    assert.equal(captured.length, 0);
    for (let step = 0; step < 5; step++) assert.ok(take(1));
    assert.equal(captured.length, 1);
  });

  it("takes the first replay plainly, too, and the second, the fourth, the eighth", () => {
    const { replay, take, onRun, captured } = open();
    for (let step = 0; step < BEFORE; step++) take(1);
    const order: string[] = [];
    onRun(({ runOptions }) => {
      order.push(runOptions === undefined ? "plain" : "replay");
      return 7;
    });
    const proved = Array.from({ length: 9 }, () => take(1)).flatMap((window, index) =>
      window === captured[0] ? [] : [index + 1],
    );
    assert.deepEqual(proved, [1, 2, 4, 8]);
    // A replay that does nothing would find the plain step's logits, were that taken first.
    assert.deepEqual(order.slice(0, 6), ["replay", "plain", "replay", "plain", "replay", "replay"]);
    assert.equal(replay.stepsBefore, BEFORE + 2);
  });

  it("fills a batch up with rows that nobody asked about", () => {
    const { take, settle, spare } = open();
    settle(3);
    spare.length = 0;
    assert.equal(take(3)?.rows, 4);
    assert.deepEqual(spare, [3]);
    assert.equal(take(4)?.rows, 4);
    assert.deepEqual(spare, [3]);
  });

  it("leaves a step alone where a spare row is full, and goes on when it is not", () => {
    const { take, settle, lengths } = open();
    settle(3);
    lengths[3] = 10;
    assert.equal(take(3), undefined);
    assert.ok(take(4), "a row that is in the step is not spare");
    lengths[3] = 9;
    assert.ok(take(3));
  });

  it("captures again under other ids when the cache has moved", () => {
    const { replay, settle, take, captured } = open();
    settle(1);
    replay.forget();
    assert.equal(take(1), undefined);
    settle(1);
    assert.equal(captured.length, 2);
    assert.equal(captured[0]?.runOptions?.disposed, true);
    assert.equal(captured[1]?.runOptions?.disposed, false);
  });

  it("captures no more than what may be kept until the session ends", () => {
    const { replay, settle, take, captured } = open();
    for (let moved = 0; moved < MOST_CAPTURES + 3; moved++) {
      replay.forget();
      settle(1);
    }
    assert.equal(captured.length, MOST_CAPTURES);
    assert.equal(take(1), undefined);
  });

  it("is used when it is told to", () => {
    const { replay, settle, take, captured } = open();
    assert.deepEqual(replay.choice, { on: true, reason: "Decode steps are replayed as CUDA graphs." });
    replay.use(false);
    settle(1);
    assert.equal(take(1), undefined);
    assert.equal(captured.length, 0);
    assert.equal(replay.choice.on, false);
    replay.use(true);
    settle(1);
    assert.equal(take(1), captured[0]);
  });

  it("stops for good, with the first reason", () => {
    const { replay, settle, take } = open();
    replay.stop("It is not right.");
    replay.stop("It is late.");
    replay.use(true);
    settle(1);
    assert.equal(take(1), undefined);
    assert.deepEqual(replay.choice, { on: false, reason: "It is not right." });
  });

  it("stops where a replay fails, or gives something else", () => {
    const failing = open();
    failing.settle(1);
    failing.onRun(() => {
      throw new NativeError("failed", "CUDA error 700");
    });
    assert.equal(failing.take(1), undefined);
    assert.deepEqual(failing.replay.choice, { on: false, reason: "A replayed step failed: CUDA error 700" });

    for (const other of [9, Number.NaN]) {
      const differing = open();
      differing.onRun((window) => (window.runOptions === undefined ? 7 : other));
      differing.settle(1);
      assert.equal(differing.replay.choice.on, false);
      assert.match(differing.replay.choice.reason, /of their spread off$/);
    }
  });

  it("does without a batch size that there is no memory for, and keeps the others", () => {
    const { replay, settle, take, onRun } = open();
    onRun(({ rows }) => {
      if (rows === 4) throw new NativeError("out_of_memory", "Failed to allocate memory");
      return 7;
    });
    for (const count of [4, 1, 4]) settle(count);
    assert.equal(take(4), undefined);
    assert.equal(take(1)?.rows, 1);
    assert.equal(replay.choice.on, true);
  });
});
