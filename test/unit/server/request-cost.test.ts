import assert from "node:assert/strict";
import type { DeviceChoice, ForwardStats, RequestEvent } from "../../../src/protocol.js";
import { Metrics } from "../../../src/server/metrics/metrics.js";
import { RequestCost } from "../../../src/server/request-cost.js";
import { ONE_TOKEN } from "../../support/allocation.js";
import { FakeEngine } from "../../support/fake-engine.js";
import { FakeTracing } from "../../support/fake-tracing.js";

const on = (deviceId: number): DeviceChoice => ({ requested: "auto", provider: "cuda", deviceId, reason: "asked for" });

function admitted(device: DeviceChoice): RequestEvent {
  const at = { start: 0, end: 0 };
  const allocation = { ...at, ...ONE_TOKEN };
  return {
    type: "admitted",
    id: "a",
    queue: { ...at, depth: 0 },
    allocation,
    run: { id: "0".repeat(32), model: "tiny", device },
  };
}

function forward(deviceSeconds: number): ForwardStats {
  const steps = { start: 0, end: 0, steps: 1, tokens: 1, meanBatchSize: 1, maxStepMs: 1 };
  return { phase: "decode", ...steps, deviceSeconds };
}

const prefilled = (deviceSeconds: number): RequestEvent => ({
  type: "prefilled",
  id: "a",
  forward: { ...forward(deviceSeconds), phase: "prefill" },
});
const preempted = (deviceSeconds: number): RequestEvent => ({
  type: "preempted",
  id: "a",
  at: 0,
  forward: forward(deviceSeconds),
});

/** A clock, and a device that has consumed what the test says. */
function metered(joules: Record<string, number>) {
  const at = { seconds: 0 };
  const cost = new RequestCost({ joules: (device) => joules[device] }, () => at.seconds);
  const pass = (seconds: number, device: string, more: number) => {
    at.seconds += seconds;
    joules[device] = (joules[device] ?? 0) + more;
  };
  return { cost, pass };
}

describe("RequestCost", () => {
  it("takes each phase's device seconds at the device's mean power over that phase", () => {
    const { cost, pass } = metered({ "cuda:1": 5_000 });
    cost.observe(0, admitted(on(1)));
    pass(2, "cuda:1", 200);
    cost.observe(0, prefilled(0.5));
    assert.deepEqual([cost.deviceSeconds, cost.joules], [0.5, 50]);
    pass(1, "cuda:1", 400);
    cost.observe(0, preempted(0.25));
    assert.deepEqual([cost.deviceSeconds, cost.joules], [0.75, 150]);
  });

  it("adds up choices on several devices", () => {
    const { cost, pass } = metered({ "cuda:0": 0, "cuda:1": 0 });
    cost.observe(0, admitted(on(0)));
    cost.observe(1, admitted(on(1)));
    pass(1, "cuda:0", 100);
    pass(0, "cuda:1", 300);
    cost.observe(0, prefilled(1));
    cost.observe(1, prefilled(1));
    assert.deepEqual([cost.deviceSeconds, cost.joules], [2, 400]);
  });

  it("knows no energy where no power is known", () => {
    const { cost } = metered({});
    cost.observe(0, admitted({ requested: "cpu", provider: "cpu", reason: "asked for" }));
    cost.observe(0, prefilled(1));
    assert.deepEqual([cost.deviceSeconds, cost.joules], [1, undefined]);
  });
});

describe("totals of cost in /metrics", () => {
  const record = {
    route: "/v1/completions",
    status: 200,
    outcome: "ok",
    seconds: 1,
    promptTokens: 1,
    cachedTokens: 0,
    completionTokens: 1,
    model: "tiny",
    deviceSeconds: 1_800,
  };

  async function page(pricePerDeviceHour: number | undefined): Promise<string> {
    const tracing = new FakeTracing();
    tracing.cost = { pricePerDeviceHour, joules: () => undefined };
    const request = { method: "POST", path: "/v1/completions", headers: {}, start: 0, remote: {} };
    const trace = tracing.startRequest(request);
    const metrics = new Metrics(new FakeEngine(), tracing, "tiny");
    metrics.record({ ...record, trace, caller: "4b1d", joules: 70 });
    metrics.record({ ...record, trace, caller: "4b1d", joules: 50 });
    metrics.record({ ...record, trace, caller: undefined, joules: undefined });
    return (await metrics.page(undefined)).text;
  }

  it("are by model and hashed caller", async () => {
    const text = await page(2.5);
    for (const line of [
      'vitrine_cost_device_seconds_total{model="tiny",caller="4b1d"} 3600',
      'vitrine_cost_device_seconds_total{model="tiny",caller="none"} 1800',
      'vitrine_cost_joules_total{model="tiny",caller="4b1d"} 120',
      'vitrine_cost_amount_total{model="tiny",caller="4b1d"} 2.5',
      'vitrine_cost_amount_total{model="tiny",caller="none"} 1.25',
    ])
      assert.ok(text.includes(`${line}\n`), line);
    assert.ok(!text.includes('vitrine_cost_joules_total{model="tiny",caller="none"}'), "unknown is not 0");
  });

  it("name no amount without a price", async () => {
    assert.ok(!(await page(undefined)).includes("vitrine_cost_amount_total"));
  });
});
