import assert from "node:assert/strict";
import { GpuHistory } from "../../../../src/tracing/export/gpu-history.js";
import { addGpuTags } from "../../../../src/tracing/export/gpu-tags.js";
import type { SpanRecord } from "../../../../src/tracing/export/span-record.js";

/** Samples at 100, 200, 300: 10 %, 50 %, 90 %. */
function history(): GpuHistory {
  const samples = new GpuHistory();
  samples.add({ at: 100, utilization: 10, memoryUsedBytes: 1_000, powerWatts: 100 });
  samples.add({ at: 200, utilization: 50, memoryUsedBytes: 3_000, powerWatts: 200 });
  samples.add({ at: 300, utilization: 90, memoryUsedBytes: 2_000, powerWatts: 300 });
  return samples;
}

describe("addGpuTags", () => {
  function tagged(name: string, device: string | undefined, samples = history()): SpanRecord["attributes"] {
    const span: SpanRecord = {
      traceId: "a",
      spanId: "b",
      kind: 0,
      name,
      start: 150,
      end: 350,
      debug: false,
      failed: false,
      statusMessage: "",
      attributes: device === undefined ? {} : { "ai.device": device },
      events: [],
    };
    addGpuTags(span, new Map([["cuda:0", samples]]));
    return span.attributes;
  }

  it("tags the spans that ran on the device", () => {
    for (const name of ["inference.forward", "model.generate", "model.load", "engine.step"]) {
      assert.deepEqual(tagged(name, "cuda:0"), {
        "ai.device": "cuda:0",
        "ai.gpu.utilization": 50,
        "ai.gpu.memory_used": 3_000,
        "ai.gpu.power": 200,
      });
    }
  });

  it("says what held the clocks down, and not that nothing ran or somebody set them", () => {
    const slow = new GpuHistory();
    slow.add({ at: 100, throttleReasons: ["gpu_idle", "applications_clocks_setting", "sw_power_cap", "hw_slowdown"] });
    assert.deepEqual(tagged("model.generate", "cuda:0", slow), {
      "ai.device": "cuda:0",
      "ai.gpu.throttled": "sw_power_cap,hw_slowdown",
    });
    const idle = new GpuHistory();
    idle.add({ at: 100, throttleReasons: ["gpu_idle"] });
    assert.deepEqual(tagged("model.generate", "cuda:0", idle), { "ai.device": "cuda:0" });
  });

  it("leaves all others alone", () => {
    assert.deepEqual(tagged("inference.forward", "cpu"), { "ai.device": "cpu" });
    assert.deepEqual(tagged("inference.forward", undefined), {});
    assert.deepEqual(tagged("inference.forward", "cuda:1"), { "ai.device": "cuda:1" }, "another GPU");
    assert.deepEqual(tagged("tokenize", "cuda:0"), { "ai.device": "cuda:0" });
  });
});
