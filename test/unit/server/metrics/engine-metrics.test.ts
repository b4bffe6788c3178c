import assert from "node:assert/strict";
import { addEngineMetrics } from "../../../../src/server/metrics/engine-metrics.js";
import { createRegistry, inFormat } from "../../../../src/server/metrics/metrics-format.js";
import { FAKE_MODEL, FakeEngine } from "../../../support/fake-engine.js";

describe("engine metrics", () => {
  it("have the device that is asked for until it is known which it is, then that one, through a restart", async () => {
    const engine = new FakeEngine();
    const registry = createRegistry();
    addEngineMetrics(registry, engine);
    const series = async (): Promise<string[]> => {
      const text = await inFormat(registry, "text/plain; version=0.0.4; charset=utf-8").metrics();
      return text.split("\n").filter((line) => /^vitrine_(engine_ready|engine_steps_total)\{/.test(line));
    };
    const of = (device: string, ready: number) => [
      `vitrine_engine_ready{engine="0",device="${device}"} ${ready}`,
      `vitrine_engine_steps_total{engine="0",device="${device}"} 7`,
    ];
    engine.state = { kind: "starting" };
    assert.deepEqual(await series(), of("auto", 0));
    const device = { requested: "auto", provider: "cuda", deviceId: 1, reason: "" } as const;
    engine.state = { kind: "ready", model: FAKE_MODEL, device };
    assert.deepEqual(await series(), of("cuda:1", 1));
    engine.state = { kind: "restarting", error: { code: "engine_lost", message: "gone" }, restarts: 1 };
    assert.deepEqual(await series(), of("cuda:1", 0));
  });
});
