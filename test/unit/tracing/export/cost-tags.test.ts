import assert from "node:assert/strict";
import { addCostTags } from "../../../../src/tracing/export/cost-tags.js";
import { GpuHistory } from "../../../../src/tracing/export/gpu-history.js";
import type { SpanRecord } from "../../../../src/tracing/export/span-record.js";

describe("addCostTags", () => {
  const history = new GpuHistory();
  for (const [at, powerWatts] of [
    [100, 100],
    [200, 300],
  ] as const) {
    history.add({ at, utilization: 50, memoryUsedBytes: 1, powerWatts });
  }
  const histories = new Map([["cuda:0", history]]);

  function tagged(attributes: SpanRecord["attributes"], price?: number): SpanRecord["attributes"] {
    const ids = { traceId: "a", spanId: "b", kind: 0, name: "inference.forward", start: 100, end: 300 };
    const record = {
      ...ids,
      debug: false,
      failed: false,
      statusMessage: "",
      attributes: { ...attributes },
      events: [],
    };
    addCostTags(record, histories, price);
    const { "ai.cost.joules": joules, "ai.cost.amount": amount } = record.attributes;
    return { ...(joules === undefined ? {} : { joules }), ...(amount === undefined ? {} : { amount }) };
  }

  it("takes the mean power over the span for its share of device time", () => {
    assert.deepEqual(tagged({ "ai.cost.device_seconds": 0.25, "ai.device": "cuda:0" }), { joules: 50 });
  });

  it("goes by the device's energy counter where it has one", () => {
    const metered = new GpuHistory();
    metered.add({ at: 100, powerWatts: 1, energyJoules: 7 });
    metered.add({ at: 300, powerWatts: 1, energyJoules: 7.05 });
    histories.set("cuda:1", metered);
    // 0.05 J in 200 us are 250 W.
    const { joules } = tagged({ "ai.cost.device_seconds": 0.0002, "ai.device": "cuda:1" });
    assert.ok(typeof joules === "number" && Math.abs(joules - 0.05) < 1e-6, String(joules));
  });

  it("knows no energy where no power is known, and no amount without a price", () => {
    assert.deepEqual(tagged({ "ai.cost.device_seconds": 0.25, "ai.device": "cpu" }), {});
    assert.deepEqual(tagged({ "ai.cost.device_seconds": 0.25 }), {});
  });

  it("prices device time by the hour, on any device", () => {
    assert.deepEqual(tagged({ "ai.cost.device_seconds": 1.8, "ai.device": "cpu" }, 4), { amount: 0.002 });
    assert.deepEqual(tagged({ "ai.device": "cuda:0" }, 4), {}, "what held no device costs nothing");
  });
});
