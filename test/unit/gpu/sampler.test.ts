import assert from "node:assert/strict";
import { openNvmlSampler, physicalDevice } from "../../../src/gpu/sampler.js";
import { compileNvmlStub, hasCompiler } from "../../support/nvml-stub.js";
import { requirePart } from "../../support/requirements.js";

const compiler = { name: "a C compiler", why: "there is no cc command on the PATH", mandatoryInCi: false };

describe("GPU sampler over NVML", () => {
  it("is undefined where the library is not installed", () => {
    assert.equal(openNvmlSampler(0, "libnvidia-ml-that-nobody-has.so.1"), undefined);
  });

  describe("with a library", () => {
    let library: string;

    before(function () {
      requirePart(this, { ...compiler, available: hasCompiler() });
      library = compileNvmlStub();
    });

    it("samples the device", async () => {
      const sampler = openNvmlSampler(0, library, () => 1_700_000_000_123);
      assert.equal(sampler?.source, "nvml");
      assert.deepEqual(await sampler?.sample(), {
        at: 1_700_000_000_123_000,
        utilization: 37,
        memoryUsedBytes: 91_268_055_041,
        powerWatts: 312.345,
      });
      sampler?.close();
    });

    it("is undefined for a device that does not exist, has no utilization, or is lost", () => {
      assert.equal(openNvmlSampler(7, library), undefined);
      assert.equal(openNvmlSampler(1, library), undefined);
      assert.equal(openNvmlSampler(2, library), undefined);
    });

    it("gives no sample, and no error, once the device stops answering", async () => {
      const sampler = openNvmlSampler("GPU-stub", library);
      assert.ok(await sampler?.sample());
      sampler?.close();
      assert.ok(sampler);
      assert.equal(await sampler.sample(), undefined);
    });

    it("is undefined where the driver is not loaded", () => {
      assert.equal(openNvmlSampler(0, compileNvmlStub(9)), undefined);
    });
  });
});

describe("physical device of a CUDA index", () => {
  it("is the index itself where all devices are visible", () => {
    assert.equal(physicalDevice(2, undefined), 2);
  });

  it("follows CUDA_VISIBLE_DEVICES", () => {
    assert.equal(physicalDevice(0, "3,1"), 3);
    assert.equal(physicalDevice(1, "3, 1"), 1);
    assert.equal(physicalDevice(0, "GPU-8932f937-d72c"), "GPU-8932f937-d72c");
    assert.equal(physicalDevice(0, "MIG-GPU-8932f937/1/0"), "MIG-GPU-8932f937/1/0");
  });

  it("is undefined for a hidden device", () => {
    assert.equal(physicalDevice(0, ""), undefined);
    assert.equal(physicalDevice(0, "-1"), undefined);
    assert.equal(physicalDevice(1, "0"), undefined);
    assert.equal(physicalDevice(1, "0,-1,1"), undefined);
  });
});
