import assert from "node:assert/strict";
import { errorType } from "../../../src/instrumentation/failure.js";
import { graphIdentity, identityOf, modelName } from "../../../src/instrumentation/model-identity.js";

describe("what a model is called", () => {
  it("is a hub's id, or the last part of a path and nothing above it", () => {
    assert.equal(modelName("onnx-community/Qwen2.5-0.5B-Instruct"), "onnx-community/Qwen2.5-0.5B-Instruct");
    assert.equal(modelName("gpt2"), "gpt2");
    for (const path of ["/home/alice/models/tiny", "./alice/tiny/", "../tiny", "C:\\Users\\alice\\tiny"]) {
      assert.equal(modelName(path), "tiny");
    }
  });

  it("is told by where a graph lies", () => {
    assert.deepEqual(graphIdentity("/home/alice/tiny/onnx/model_q4f16.onnx"), { name: "tiny", dtype: "q4f16" });
    assert.deepEqual(graphIdentity("/home/alice/tiny/onnx/model_bf16.onnx"), { name: "tiny", dtype: "bf16" });
    assert.deepEqual(graphIdentity("C:\\alice\\tiny\\onnx\\model.onnx"), { name: "tiny" });
    assert.deepEqual(graphIdentity("/home/alice/resnet50.onnx"), { name: "resnet50" });
  });

  it("is what its configuration says, where nobody saw it being loaded, and nothing where that cannot be read", () => {
    assert.deepEqual(identityOf({ config: { _name_or_path: "/home/alice/mine", model_type: "llama" } }), {
      name: "mine",
    });
    const broken = {
      get config() {
        throw new Error("not now");
      },
    };
    assert.deepEqual(identityOf(broken), {});
  });
});

describe("errorType", () => {
  it("is the error's class, and never anything that may be a message", () => {
    assert.equal(errorType(new TypeError("secret")), "TypeError");
    assert.equal(errorType(Object.assign(new Error("secret"), { name: "AbortError" })), "AbortError");
    assert.equal(errorType(Object.assign(new Error("secret"), { name: "the user said: secret" })), "_OTHER");
    assert.equal(errorType("secret"), "_OTHER");
  });
});
