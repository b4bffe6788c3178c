import assert from "node:assert/strict";
import { DeviceEnergy } from "../../../../src/tracing/export/device-energy.js";

const S = 1e6;
const START = 1_700_000_000 * S;

describe("DeviceEnergy", () => {
  it("holds each sample's power until the next one, for each device by itself", () => {
    const energy = DeviceEnergy.of(2);
    assert.equal(energy.joules(1, START), undefined);
    energy.add(1, START, 100);
    energy.add(1, START + 2 * S, 300);
    assert.equal(energy.joules(1, START + 2 * S), 200);
    assert.equal(energy.joules(1, START + 2.5 * S), 350);
    assert.equal(energy.joules(0, START), undefined);
  });

  it("goes by what a device itself counts, whatever its power was at the samples", () => {
    const energy = DeviceEnergy.of(1);
    energy.add(0, START, 100);
    assert.equal(energy.joules(0, START + S), 100);
    energy.add(0, START + S, 300, 180);
    assert.equal(energy.joules(0, START + S), 180);
    assert.equal(energy.joules(0, START + 2 * S), 480);
    energy.add(0, START + 2 * S, 100, 250);
    assert.equal(energy.joules(0, START + 2 * S), 430);
  });

  it("is seen through the same memory, and does not run backwards when a clock does", () => {
    const energy = DeviceEnergy.of(1);
    energy.add(0, START, 0.5);
    const other = new DeviceEnergy(energy.memory);
    assert.equal(other.joules(0, START + 10 * S), 5);
    assert.equal(other.joules(0, START - 10 * S), 0);
  });
});
