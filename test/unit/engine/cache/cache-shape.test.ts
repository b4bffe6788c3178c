import assert from "node:assert/strict";
import fc from "fast-check";
import { type CacheLimits, type CacheShape, cellsOf, grownShape } from "../../../../src/engine/cache/cache-shape.js";

const LIMITS: CacheLimits = { rows: 16, tokens: 4096, cells: 16 * 4096 };

describe("grownShape", () => {
  it("doubles what is too small and leaves the other as it is", () => {
    assert.deepEqual(grownShape({ rows: 0, tokens: 0 }, { rows: 1, tokens: 10 }, LIMITS), { rows: 1, tokens: 256 });
    assert.deepEqual(grownShape({ rows: 4, tokens: 256 }, { rows: 5, tokens: 10 }, LIMITS), { rows: 8, tokens: 256 });
    assert.deepEqual(grownShape({ rows: 4, tokens: 256 }, { rows: 2, tokens: 600 }, LIMITS), { rows: 4, tokens: 1024 });
    assert.deepEqual(grownShape({ rows: 8, tokens: 4096 }, { rows: 9, tokens: 1 }, { ...LIMITS, rows: 12 }), {
      rows: 12,
      tokens: 4096,
    });
  });

  it("gives up rows that nobody needs when memory is short", () => {
    const limits = { ...LIMITS, cells: 4096 };
    assert.deepEqual(grownShape({ rows: 16, tokens: 256 }, { rows: 2, tokens: 600 }, limits), {
      rows: 3,
      tokens: 1024,
    });
    assert.equal(grownShape({ rows: 16, tokens: 256 }, { rows: 7, tokens: 600 }, limits), undefined);
  });

  it("has room for what is needed, stays within every limit, and says no only when it has to", () => {
    const size = (rows: number, tokens: number) =>
      fc.record({ rows: fc.integer({ min: 1, max: rows }), tokens: fc.integer({ min: 1, max: tokens }) });
    const limits = fc.record({
      rows: fc.integer({ min: 1, max: 64 }),
      tokens: fc.integer({ min: 1, max: 9000 }),
      cells: fc.integer({ min: 1, max: 60_000 }),
    });
    fc.assert(
      fc.property(size(64, 9000), size(64, 9000), limits, (now: CacheShape, needed: CacheShape, most: CacheLimits) => {
        const shape = grownShape(now, needed, most);
        const fits = needed.rows <= most.rows && needed.tokens <= most.tokens && cellsOf(needed) <= most.cells;
        assert.equal(shape !== undefined, fits);
        if (shape === undefined) return;
        assert.ok(shape.rows >= needed.rows && shape.tokens >= needed.tokens);
        assert.ok(cellsOf(shape) <= most.cells);
      }),
    );
  });
});
