import assert from "node:assert/strict";
import { heldContext } from "../../../src/engine/held-context.js";
import type { ModelDescription } from "../../../src/protocol.js";

const model: ModelDescription = {
  name: "m",
  dtype: "q4",
  vocabSize: 10,
  contextLength: 2048,
  layers: 1,
  kvHeads: 1,
  headDim: 1,
  kvBytesPerToken: 4608,
  kvTensorBytesPerToken: 1,
  weightBytes: 1,
};

describe("heldContext", () => {
  it("is the model's where the memory holds it", () => {
    assert.equal(heldContext(model), model);
    assert.equal(heldContext(model, 2048), model);
  });

  it("is what the memory holds where that is less, and says so", () => {
    const held = heldContext({ ...model, warnings: ["Another."] }, 227);
    assert.equal(held.contextLength, 227);
    assert.deepEqual(held.warnings, [
      "Another.",
      "The model's context is 2048 tokens, of which the KV cache's memory holds 227: longer requests are refused. The whole context takes 9M (--kv-memory).",
    ]);
  });
});
