import assert from "node:assert/strict";
import { openNvml } from "../../../native/nvml.js";
import { compileNvmlStub, hasCompiler } from "../../support/nvml-stub.js";
import { requirePart } from "../../support/requirements.js";

const compiler = { name: "a C compiler", why: "there is no cc command on the PATH", mandatoryInCi: false };

describe("NVML", () => {
  it("is undefined where the library is not installed", () => {
    assert.equal(openNvml("libnvidia-ml-that-nobody-has.so.1"), undefined);
  });

  describe("with a library", () => {
    let library: string;

    before(function () {
      requirePart(this, { ...compiler, available: hasCompiler() });
      library = compileNvmlStub();
    });

    it("reads a device", () => {
      const nvml = openNvml(library);
      assert.ok(nvml);
      for (const device of [nvml.deviceByIndex(0), nvml.deviceByUuid("GPU-stub")]) {
        assert.equal(device.utilization(), 37);
        assert.equal(device.memoryUsed(), 91_268_055_041);
        assert.equal(device.power(), 312.345);
      }
      nvml.close();
    });

    it("gives undefined for what a device does not support", () => {
      const nvml = openNvml(library);
      const device = nvml?.deviceByIndex(1);
      assert.equal(device?.utilization(), undefined);
      assert.equal(device?.power(), undefined);
      assert.equal(device?.memoryUsed(), 91_268_055_041);
      nvml?.close();
    });

    it("throws what NVML says when a call fails", () => {
      const nvml = openNvml(library);
      assert.throws(() => nvml?.deviceByIndex(7), {
        name: "NvmlError",
        code: 2,
        message: "nvmlDeviceGetHandleByIndex_v2: Invalid Argument (NVML error 2)",
      });
      assert.throws(() => nvml?.deviceByIndex(2).power(), { code: 15, call: "nvmlDeviceGetPowerUsage" });
      nvml?.close();
      assert.throws(() => nvml?.deviceByIndex(0), { code: 1 });
    });

    it("throws where the library is there without its driver", () => {
      assert.throws(() => openNvml(compileNvmlStub(9)), { code: 9, message: /Driver Not Loaded/ });
    });
  });
});
