import { Metrics } from "../../src/server/metrics/metrics.js";
import { FakeEngine } from "./fake-engine.js";
import { FakeTrace, FakeTracing } from "./fake-tracing.js";

/** `/metrics` of a service on a GPU that has served one request, and lost a span or two. */
export async function metricsPage(): Promise<string> {
  const tracing = new FakeTracing();
  tracing.refusals = [{ header: "b3", reason: "upper_case", count: 1 }];
  const reading = {
    at: 1,
    utilization: 1,
    memoryActivity: 1,
    memoryUsedBytes: 1,
    memoryTotalBytes: 1,
    powerWatts: 1,
    energyJoules: 1,
    temperatureCelsius: 1,
    smClockHertz: 1,
    throttleReasons: ["sw_power_cap"],
    eccCorrected: 1,
  } as const;
  tracing.readings = [{ device: "cuda:0", reading }];
  tracing.cost = { pricePerDeviceHour: 1, joules: () => undefined };
  const metrics = new Metrics(new FakeEngine(), tracing, "tiny");
  const request = { method: "POST", path: "/v1/completions", headers: {}, start: 0, remote: {} };
  const trace = new FakeTrace(request, 1);
  metrics.latencies.observe("firstToken", 1, trace);
  metrics.latencies.observe("queue", 1, trace);
  metrics.latencies.observeInterToken(1);
  metrics.record({
    route: "/v1/completions",
    status: 200,
    outcome: "ok",
    seconds: 1,
    promptTokens: 1,
    cachedTokens: 1,
    completionTokens: 1,
    trace,
    model: "tiny",
    caller: undefined,
    deviceSeconds: 1,
    joules: 1,
  });
  return (await metrics.page(undefined)).text;
}
