import assert from "node:assert/strict";
import { addGpuTags, GpuHistory } from "../../../src/tracing/export/gpu-tags.js";
import type { SpanRecord } from "../../../src/tracing/export/span-record.js";

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
    assert.deepEqual(history().over(150, 350), { utilization: 50, memoryUsedBytes: 3_000, powerWatts: 200 });
    // 100..200 at 10 %, 200..300 at 50 %.
    assert.equal(history().over(100, 300)?.utilization, 30);
  });

  it("uses the last sample before a short interval", () => {
    assert.deepEqual(history().over(210, 211), { utilization: 50, memoryUsedBytes: 3_000, powerWatts: 200 });
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
    assert.deepEqual(samples.over(0, 10), { utilization: 1, memoryUsedBytes: 1 });
  });
});

describe("addGpuTags", () => {
  function tagged(name: string, device: string | undefined): SpanRecord["attributes"] {
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
    addGpuTags(span, new Map([["cuda:0", history()]]));
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

  it("leaves all others alone", () => {
    assert.deepEqual(tagged("inference.forward", "cpu"), { "ai.device": "cpu" });
    assert.deepEqual(tagged("inference.forward", undefined), {});
    assert.deepEqual(tagged("inference.forward", "cuda:1"), { "ai.device": "cuda:1" }, "another GPU");
    assert.deepEqual(tagged("tokenize", "cuda:0"), { "ai.device": "cuda:0" });
  });
});
