import assert from "node:assert/strict";
import { openNvmlSampler } from "../../../src/gpu/nvml-sampler.js";
import type { GpuSampler } from "../../../src/gpu/sample.js";
import { compiler } from "../../support/compile-library.js";
import { compileNvmlStub, stubUuid } from "../../support/nvml-stub.js";
import { requirePart } from "../../support/requirements.js";

describe("GPU sampler over NVML", () => {
  it("says so where the library is not installed", async () => {
    const none = await openNvmlSampler(() => 0, { library: "libnvidia-ml-that-nobody-has.so.1" });
    assert.deepEqual(none, { why: "libnvidia-ml.so.1 is not installed" });
  });

  describe("with a library", () => {
    let library: string;

    before(function () {
      requirePart(this, compiler());
      library = compileNvmlStub();
    });

    const sampler = async (device: number | string): Promise<GpuSampler> => {
      const opened = await openNvmlSampler(() => device, { library, now: () => 1_700_000_000_123 });
      assert.ok(!("why" in opened));
      return opened;
    };

    it("lists the GPUs to choose from, lost ones too", async () => {
      let seen: readonly object[] = [];
      await openNvmlSampler(
        (gpus) => {
          seen = gpus;
          return undefined;
        },
        { library },
      );
      assert.equal(seen.length, 4);
      assert.deepEqual(seen[0], { uuid: stubUuid(0), name: "NVIDIA H200" });
      assert.deepEqual(seen[3], { uuid: stubUuid(3), name: "NVIDIA A30" });
    });

    it("samples what spans need", async () => {
      const opened = await sampler(0);
      assert.equal(opened.source, "nvml");
      const { energyJoules = 0, ...sample } = (await opened.sample()) ?? {};
      assert.deepEqual(sample, {
        at: 1_700_000_000_123_000,
        utilization: 37,
        memoryUsedBytes: 90_679_803_905,
        powerWatts: 312.345,
        throttleReasons: ["sw_power_cap", "hw_thermal_slowdown"],
      });
      const later = await opened.sample();
      assert.equal((later?.energyJoules ?? 0) - energyJoules, 25);
      opened.close();
    });

    it("reads everything there is", async () => {
      const opened = await sampler(stubUuid(0));
      const reading = await opened.read();
      assert.equal(reading?.uuid, stubUuid(0));
      assert.equal(reading.name, "NVIDIA H200");
      assert.equal(reading.memoryActivity, 11);
      assert.equal(reading.memoryTotalBytes, 150_754_820_096);
      assert.equal(reading.temperatureCelsius, 61);
      assert.equal(reading.smClockHertz, 1.98e9);
      assert.equal(reading.memoryClockHertz, 3.201e9);
      assert.equal(reading.migEnabled, false);
      assert.equal(reading.eccCorrected, 12);
      assert.equal(reading.eccUncorrected, 0);
      assert.equal(reading.processes?.length, 20);
      assert.equal(reading.utilization, 37);
      opened.close();
    });

    it("leaves out what a device does not tell, by name, and keeps the rest", async () => {
      const poor = await sampler(1);
      assert.deepEqual(await poor.sample(), { at: 1_700_000_000_123_000, memoryUsedBytes: 90_679_803_905 });
      poor.close();
      // With MIG on, the whole device has no utilization.
      const sliced = await sampler(3);
      const reading = await sliced.read();
      assert.ok(reading);
      assert.ok(!("utilization" in reading));
      assert.equal(reading.migEnabled, true);
      assert.equal(reading.powerWatts, 312.345);
      sliced.close();
    });

    it("says why not for a device that CUDA does not have, does not exist, or is lost", async () => {
      const why = async (device: number | undefined) => {
        const none = await openNvmlSampler(() => device, { library });
        return "why" in none ? none.why : "";
      };
      assert.match(await why(undefined), /no GPU of this machine is that CUDA device/);
      assert.match(await why(7), /Invalid Argument/);
      assert.match(await why(2), /GPU is lost/);
    });

    it("gives nothing, and no error, once the device stops answering", async () => {
      const opened = await sampler(0);
      assert.ok(await opened.sample());
      opened.close();
      assert.equal(await opened.sample(), undefined);
      assert.equal(await opened.read(), undefined);
    });

    it("says what NVML says where the driver is not loaded", async () => {
      const none = await openNvmlSampler(() => 0, { library: compileNvmlStub({ initResult: 9 }) });
      assert.deepEqual(none, { why: "nvmlInit_v2: Driver Not Loaded (NVML error 9)" });
    });
  });
});
