import assert from "node:assert/strict";
import * as settleModule from "../../../src/instrumentation/settle.js";
import { writableExports } from "../../../src/instrumentation/writable-exports.js";

describe("writableExports", () => {
  it("leaves exports that can be written to", () => {
    const exports = { pipeline() {} };
    assert.equal(writableExports(exports, "pipeline"), exports);
    const without = Object.freeze({ other: 1 });
    assert.equal(writableExports(without, "pipeline"), without);
  });

  it("copies a bundle's getters, with the one that is to be replaced as a value", () => {
    let live = 1;
    const pipeline = () => 1;
    const exports = Object.defineProperties({} as Record<string, unknown>, {
      __esModule: { value: true },
      live: { get: () => live, enumerable: true },
      pipeline: { get: () => pipeline, enumerable: true },
    });
    const copy = writableExports(exports, "pipeline") as typeof exports;
    assert.notEqual(copy, exports);
    assert.deepEqual(Object.keys(copy), ["live", "pipeline"]);
    assert.equal(copy.__esModule, true);
    assert.equal(copy.pipeline, pipeline);
    live = 2;
    assert.equal(copy.live, 2);
    copy.pipeline = undefined;
    assert.equal(exports.pipeline, pipeline);
    assert.equal(writableExports(exports, "pipeline"), copy, "who requires it again gets the same");
  });

  it("copies the namespace of an ES module", () => {
    const copy = writableExports(settleModule, "settle") as { settle: unknown };
    assert.equal(copy.settle, settleModule.settle);
    copy.settle = undefined;
    assert.equal(typeof settleModule.settle, "function");
  });
});
