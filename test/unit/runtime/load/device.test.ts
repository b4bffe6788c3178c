import assert from "node:assert/strict";
import { chooseDevice, fallBackToCpu } from "../../../../src/runtime/load/device.js";

const here = { library: undefined, device: undefined };
const noLibrary = { library: "libonnxruntime_providers_cuda.so is not in /x", device: undefined };
const noDevice = { library: undefined, device: "there is no NVIDIA device" };

describe("chooseDevice", () => {
  it("takes the CPU when asked, whatever is there", () => {
    assert.deepEqual(chooseDevice("cpu", here), {
      requested: "cpu",
      provider: "cpu",
      reason: "The CPU was asked for.",
    });
  });

  it("takes CUDA for auto when library and device are there", () => {
    const choice = chooseDevice("auto", here);
    assert.deepEqual([choice.provider, choice.deviceId], ["cuda", 0]);
  });

  it("falls back for auto and says what is missing", () => {
    for (const probe of [noLibrary, noDevice]) {
      const choice = chooseDevice("auto", probe);
      assert.equal(choice.provider, "cpu");
      assert.equal(choice.deviceId, undefined);
      assert.equal(choice.reason, `CUDA is not available: ${probe.library ?? probe.device}.`);
    }
  });

  it("reads the device number", () => {
    assert.equal(chooseDevice("cuda", here).deviceId, 0);
    assert.equal(chooseDevice("cuda:3", here).deviceId, 3);
  });

  it("refuses CUDA without its library, and lets ONNX Runtime judge the device", () => {
    assert.throws(() => chooseDevice("cuda:1", noLibrary), {
      code: "device_unavailable",
      message: /libonnxruntime_providers_cuda\.so is not in \/x.*--device cpu/,
    });
    assert.equal(chooseDevice("cuda", noDevice).provider, "cuda");
  });

  it("keeps the reason when CUDA does not start", () => {
    const choice = fallBackToCpu(chooseDevice("auto", here), new Error("driver too old"));
    assert.deepEqual(choice, { requested: "auto", provider: "cpu", reason: "CUDA did not start: driver too old" });
  });
});
