import assert from "node:assert/strict";
import { wantedGpus, withinTime } from "../../../src/doctor/examine.js";
import { ok } from "../../../src/doctor/finding.js";
import { lines } from "./findings.js";

describe("doctor: a check", () => {
  it("has its findings", async () => {
    assert.deepEqual(lines(await withinTime(() => [ok("well")], 1_000)), ["ok well"]);
  });

  it("that does not end is a problem", async () => {
    assert.match(lines(await withinTime(() => new Promise(() => {}), 1))[0] ?? "", /^problem the check took longer/);
  });

  it("that throws is a problem", async () => {
    const found = await withinTime(() => {
      throw new Error("EIO");
    }, 1_000);
    assert.deepEqual(lines(found), ["problem EIO"]);
  });
});

describe("doctor: the GPUs asked for", () => {
  it("are those of the devices", () => {
    assert.deepEqual(wantedGpus(["cuda:1", "cuda:0", "cpu"]).deviceIds, [1, 0]);
    assert.deepEqual(wantedGpus(["cuda"]).deviceIds, [0]);
    assert.equal(wantedGpus(["auto"]).auto, true);
    assert.deepEqual(wantedGpus(["auto"]).deviceIds, []);
  });
});
