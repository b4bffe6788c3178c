import assert from "node:assert/strict";
import { DeviceWatch } from "../../../src/engine/device-watch.js";
import type { DeviceChoice } from "../../../src/protocol.js";

const CUDA: DeviceChoice = { requested: "cuda", provider: "cuda", deviceId: 0, reason: "asked for" };

describe("device watch", () => {
  it("tells once that replaying has ended, and keeps what was said of the device", () => {
    const runner = { device: { ...CUDA, replay: { on: true, reason: "So." } } };
    const told = { ...runner.device, reason: "asked for. It passed its rehearsal." };
    const watch = new DeviceWatch(runner, told);
    assert.equal(watch.change(), undefined);
    const replay = { on: false, reason: "A replayed step failed: CUDA failure 700" };
    runner.device = { ...runner.device, replay };
    assert.deepEqual(watch.change(), { type: "device", device: { ...told, replay } });
    assert.equal(watch.change(), undefined);
  });

  it("has nothing to tell where nothing is replayed", () => {
    const device: DeviceChoice = { requested: "cpu", provider: "cpu", reason: "" };
    assert.equal(new DeviceWatch({ device }, device).change(), undefined);
    const off = { ...CUDA, replay: { on: false, reason: "The graph has control flow." } };
    assert.equal(new DeviceWatch({ device: off }, off).change(), undefined);
  });
});
