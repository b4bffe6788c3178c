import assert from "node:assert/strict";
import { GpuHistory } from "../../../../src/tracing/export/gpu-history.js";

/** Samples at 100, 200, 300: 10 %, 50 %, 90 %. */
function history(limit?: number): GpuHistory {
  const samples = new GpuHistory(limit);
  samples.add({ at: 100, utilization: 10, memoryUsedBytes: 1_000, powerWatts: 100 });
  samples.add({ at: 200, utilization: 50, memoryUsedBytes: 3_000, powerWatts: 200 });
  samples.add({ at: 300, utilization: 90, memoryUsedBytes: 2_000, powerWatts: 300 });
  return samples;
}

describe("GpuHistory", () => {
  it("weighs each sample by how long it holds inside the interval", () => {
    // 150..200 at 10 %, 200..300 at 50 %, 300..350 at 90 %.
    assert.deepEqual(history().over(150, 350), {
      utilization: 50,
      memoryUsedBytes: 3_000,
      powerWatts: 200,
      throttleReasons: [],
    });
    // 100..200 at 10 %, 200..300 at 50 %.
    assert.equal(history().over(100, 300)?.utilization, 30);
  });

  it("uses the last sample before a short interval", () => {
    assert.deepEqual(history().over(210, 211), {
      utilization: 50,
      memoryUsedBytes: 3_000,
      powerWatts: 200,
      throttleReasons: [],
    });
    assert.equal(history().over(250, 250)?.utilization, 50);
    assert.equal(history().over(900, 950)?.utilization, 90);
  });

  it("stretches the first sample back over the time before it, but not over an interval it is not in", () => {
    assert.equal(history().over(0, 150)?.utilization, 10);
    assert.equal(history().over(0, 50), undefined);
    assert.equal(new GpuHistory().over(0, 50), undefined);
  });

  it("keeps a bounded number of samples, the last ones", () => {
    const short = history(2);
    assert.equal(short.over(0, 150), undefined);
    assert.equal(short.over(0, 400)?.memoryUsedBytes, 3_000);
    assert.equal(short.over(300, 400)?.utilization, 90);
  });

  it("gives no power when the device reports none", () => {
    const samples = new GpuHistory();
    samples.add({ at: 0, utilization: 1, memoryUsedBytes: 1 });
    assert.deepEqual(samples.over(0, 10), { utilization: 1, memoryUsedBytes: 1, throttleReasons: [] });
  });

  it("has what the device tells, whatever is missing beside it", () => {
    const samples = new GpuHistory();
    samples.add({ at: 0, powerWatts: 40 });
    assert.deepEqual(samples.over(0, 10), { powerWatts: 40, throttleReasons: [] });
  });

  it("tells all that held the clocks down meanwhile, once", () => {
    const samples = new GpuHistory();
    samples.add({ at: 0, throttleReasons: ["sw_power_cap"] });
    samples.add({ at: 10, throttleReasons: ["sw_power_cap", "hw_slowdown"] });
    samples.add({ at: 20, throttleReasons: ["gpu_idle"] });
    assert.deepEqual(samples.over(5, 15)?.throttleReasons, ["sw_power_cap", "hw_slowdown"]);
  });

  describe("with an energy counter", () => {
    function metered(...joules: readonly number[]): GpuHistory {
      const samples = new GpuHistory();
      // A reading of power says 1 W each time: what it missed is in the counter.
      joules.forEach((energyJoules, second) => {
        samples.add({ at: second * 1e6, powerWatts: 1, energyJoules });
      });
      return samples;
    }

    it("takes power from it", () => {
      assert.equal(metered(500, 600, 900).over(0, 2e6)?.powerWatts, 200);
      assert.equal(metered(500, 600, 900).over(1.2e6, 2.5e6)?.powerWatts, 300);
    });

    it("takes, for an interval between two samples, the power since the sample before", () => {
      assert.equal(metered(500, 600, 900).over(2.1e6, 2.2e6)?.powerWatts, 300);
      assert.equal(metered(500, 600, 900).over(1.1e6, 1.2e6)?.powerWatts, 100);
    });

    it("goes by the readings of power where the counter began anew, or has one sample", () => {
      assert.equal(metered(500, 3).over(0, 1e6)?.powerWatts, 1);
      assert.equal(metered(500).over(0, 1e6)?.powerWatts, 1);
    });
  });
});
