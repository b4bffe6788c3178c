import assert from "node:assert/strict";
import { keepSinglePrecision } from "../../../../src/runtime/node/onnxruntime.js";

describe("single precision", () => {
  const setting = (provider: "cpu" | "cuda", environment: NodeJS.ProcessEnv = {}): string | undefined => {
    keepSinglePrecision({ requested: "auto", provider, reason: "" }, environment);
    return environment.NVIDIA_TF32_OVERRIDE;
  };

  it("is what it says on CUDA, unless somebody wants TF32", () => {
    assert.equal(setting("cuda"), "0");
    assert.equal(setting("cuda", { NVIDIA_TF32_OVERRIDE: "1" }), "1");
    assert.equal(setting("cpu"), undefined);
  });
});
