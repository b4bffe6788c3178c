import assert from "node:assert/strict";
import { cudaDeviceUuid } from "../../../native/cuda-driver.js";
import { compileCudaStub, hasCompiler, stubUuid } from "../../support/nvml-stub.js";
import { requirePart } from "../../support/requirements.js";

const compiler = { name: "a C compiler", why: "there is no cc command on the PATH", mandatoryInCi: false };

describe("CUDA's numbering of devices", () => {
  it("is not to be had without the driver's library", () => {
    assert.equal(cudaDeviceUuid(0, "libcuda-that-nobody-has.so.1"), undefined);
  });

  it("names a device by its UUID", function () {
    requirePart(this, { ...compiler, available: hasCompiler() });
    const library = compileCudaStub();
    assert.equal(`GPU-${cudaDeviceUuid(0, library)}`, stubUuid(3));
    assert.equal(`GPU-${cudaDeviceUuid(2, library)}`, stubUuid(1));
    assert.equal(cudaDeviceUuid(4, library), undefined);
  });

  it("is undefined where CUDA does not start", function () {
    requirePart(this, { ...compiler, available: hasCompiler() });
    assert.equal(cudaDeviceUuid(0, compileCudaStub(100)), undefined);
  });
});
