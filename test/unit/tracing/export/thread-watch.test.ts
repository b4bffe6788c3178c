import assert from "node:assert/strict";
import { ThreadWatch } from "../../../../src/tracing/export/thread-watch.js";

function watched() {
  const heartbeat = new SharedArrayBuffer(4);
  const beats = new Int32Array(heartbeat);
  const clock = { now: 0 };
  const watch = new ThreadWatch(heartbeat, () => clock.now);
  watch.started();
  const look = (beat: boolean) => {
    if (beat) Atomics.add(beats, 0, 1);
    return watch.hung();
  };
  return { clock, watch, look };
}

describe("ThreadWatch", () => {
  it("takes a thread for hung after three looks in a row without a heartbeat", () => {
    const { look } = watched();
    assert.deepEqual([true, false, false, false].map(look), [false, false, false, true]);
  });

  it("takes one for alive that beats between looks, however rarely", () => {
    const { look } = watched();
    const rare = Array.from({ length: 30 }, (_, index) => index % 3 === 2);
    assert.ok(rare.map(look).every((hung) => !hung));
  });

  it("does not blame a thread for what its predecessor did not do", () => {
    const { watch, look } = watched();
    [false, false].map(look);
    watch.started();
    assert.deepEqual([false, false, false].map(look), [false, false, true]);
  });

  it("waits longer before each restart, up to a bound, and starts again after a healthy minute", () => {
    const { clock, watch } = watched();
    const pauses = Array.from({ length: 8 }, () => {
      watch.started();
      clock.now += 59_999;
      return watch.pause();
    });
    assert.deepEqual(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    watch.started();
    clock.now += 60_000;
    assert.equal(watch.pause(), 100);
    watch.started();
    assert.equal(watch.pause(), 200);
  });
});
