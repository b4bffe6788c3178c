import assert from "node:assert/strict";
import { openNvml } from "../../../native/nvml.js";
import { compiler } from "../../support/compile-library.js";
import { compileNvmlStub, stubUuid } from "../../support/nvml-stub.js";
import { requirePart } from "../../support/requirements.js";

async function open(library: string) {
  const nvml = await openNvml(library);
  assert.ok(nvml);
  return nvml;
}

describe("NVML", () => {
  it("is undefined where the library is not installed", async () => {
    assert.equal(await openNvml("libnvidia-ml-that-nobody-has.so.1"), undefined);
  });

  describe("with a library", () => {
    let library: string;

    before(function () {
      requirePart(this, compiler());
      library = compileNvmlStub();
    });

    it("says what the driver is and which devices there are", async () => {
      const nvml = await open(library);
      assert.equal(nvml.driverVersion, "580.65.06");
      assert.equal(nvml.cudaVersion, "13.0");
      assert.equal(nvml.deviceCount, 4);
      assert.equal(nvml.deviceByIndex(3).name, "NVIDIA A30");
      assert.equal(nvml.deviceByIndex(0).uuid, stubUuid(0));
      nvml.close();
    });

    it("leaves the event loop free while the driver wakes its GPUs", async () => {
      let turned = false;
      const opening = openNvml(compileNvmlStub({ initMicros: 20_000 }));
      setImmediate(() => {
        turned = true;
      });
      const nvml = await opening;
      assert.ok(turned);
      nvml?.close();
    });

    it("reads a device", async () => {
      const nvml = await open(library);
      for (const device of [nvml.deviceByIndex(0), nvml.deviceByUuid(stubUuid(0))]) {
        assert.deepEqual(device.utilization(), { gpu: 37, memory: 11 });
        assert.deepEqual(device.memory(), { used: 90_679_803_905, total: 150_754_820_096 });
        assert.equal(device.power(), 312.345);
        assert.equal(device.temperature(), 61);
        assert.equal(device.clock("sm"), 1_980_000_000);
        assert.equal(device.clock("memory"), 3_201_000_000);
        assert.deepEqual(device.throttleReasons(), ["sw_power_cap", "hw_thermal_slowdown"]);
        assert.equal(device.migEnabled(), false);
        assert.equal(device.eccErrors("corrected"), 12);
        assert.equal(device.eccErrors("uncorrected"), 0);
      }
      const device = nvml.deviceByIndex(0);
      assert.equal((device.energy() ?? 0) - (device.energy() ?? 0), -25);
      assert.equal(nvml.deviceByIndex(3).migEnabled(), true);
      nvml.close();
    });

    it("lists processes, however many there are, with their memory where the driver tells it", async () => {
      const nvml = await open(library);
      const device = nvml.deviceByIndex(0);
      for (let time = 0; time < 2; time++) {
        const processes = device.processes();
        assert.equal(processes?.length, 20);
        assert.deepEqual(processes[1], { pid: 1001, memoryBytes: 4_294_967_297 });
        assert.deepEqual(processes[19], { pid: 1019, memoryBytes: undefined });
      }
      nvml.close();
    });

    it("gives undefined for each reading that a device does not support, and the others all the same", async () => {
      const nvml = await open(library);
      const device = nvml.deviceByIndex(1);
      const missing = [
        device.utilization(),
        device.power(),
        device.energy(),
        device.temperature(),
        device.clock("sm"),
        device.throttleReasons(),
        device.migEnabled(),
        device.eccErrors("corrected"),
        device.processes(),
      ];
      assert.deepEqual(missing, new Array(missing.length).fill(undefined));
      assert.deepEqual(device.memory(), { used: 90_679_803_905, total: 150_754_820_096 });
      nvml.close();
    });

    it("makes do with the functions that an older driver has", async () => {
      const nvml = await open(compileNvmlStub({ old: true }));
      const device = nvml.deviceByIndex(0);
      assert.deepEqual(device.memory(), { used: 91_268_055_041, total: 150_754_820_096 });
      assert.deepEqual(device.throttleReasons(), ["hw_slowdown"]);
      assert.deepEqual(device.processes(), []);
      nvml.close();
    });

    it("throws what NVML says when there is no such device, or it is lost", async () => {
      const nvml = await open(library);
      assert.throws(() => nvml.deviceByIndex(7), {
        name: "NvmlError",
        code: 2,
        message: "nvmlDeviceGetHandleByIndex_v2: Invalid Argument (NVML error 2)",
      });
      assert.throws(() => nvml.deviceByIndex(2).power(), { code: 15, call: "nvmlDeviceGetPowerUsage" });
      nvml.close();
      assert.throws(() => nvml.deviceByIndex(0), { code: 1 });
    });

    it("throws where the library is there without its driver", async () => {
      await assert.rejects(openNvml(compileNvmlStub({ initResult: 9 })), { code: 9, message: /Driver Not Loaded/ });
    });
  });
});
