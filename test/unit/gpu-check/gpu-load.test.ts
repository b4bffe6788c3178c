import assert from "node:assert/strict";
import { readingRows } from "../../gpu/check/gpu-load.js";

describe("a GPU under load", () => {
  it("is told by means, and by the most memory", () => {
    const readings = [
      { at: 1, utilization: 50, memoryUsedBytes: 2 ** 20 },
      { at: 2, utilization: 100, memoryUsedBytes: 3 * 2 ** 20, powerWatts: 300 },
    ];
    assert.deepEqual(readingRows("x", "nvml", readings), [
      { name: "x, utilization (nvml)", value: 75, unit: "%" },
      { name: "x, power", value: 300, unit: "W" },
      { name: "x, memory at most", value: 3, unit: "MiB" },
    ]);
  });

  it("that gives no reading is a failure", () => {
    assert.equal(readingRows("x", undefined, [])[0]?.met, false);
  });
});
