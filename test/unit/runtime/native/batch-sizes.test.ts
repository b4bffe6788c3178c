import assert from "node:assert/strict";
import { batchFor } from "../../../../src/runtime/native/batch-sizes.js";

describe("batch sizes", () => {
  it("are few, each with room for the rows", () => {
    const sizes = Array.from({ length: 64 }, (_, index) => batchFor(index + 1, 64));
    assert.deepEqual([...new Set(sizes)], [1, 2, 4, 8, 16, 24, 32, 40, 48, 56, 64]);
    assert.ok(sizes.every((size, index) => size >= index + 1));
  });

  it("are no larger than the cache", () => {
    assert.deepEqual(
      [1, 3, 5, 6].map((rows) => batchFor(rows, 6)),
      [1, 4, 6, 6],
    );
    assert.equal(batchFor(9, 12), 12);
  });
});
