import assert from "node:assert/strict";
import { MemoryPool } from "../../../../src/engine/cache/memory-pool.js";

/** A pool whose memory has so many cells, and takes a millisecond for each allocation. */
function open(memory: number) {
  let now = 0;
  const asked: string[] = [];
  const reserve = (rows: number, tokens: number): void => {
    now += 1_000;
    asked.push(`${rows}x${tokens}`);
    if (rows * tokens > memory) throw new Error("out of memory");
  };
  const pool = new MemoryPool({ rows: 3, tokens: 256, cells: 3 * 256, reserve, clock: () => now });
  return { pool, asked };
}

describe("the memory behind the cache", () => {
  it("asks for some to spare, then for less, then divides what there is, and remembers how much that was", () => {
    const { pool, asked } = open(256);
    assert.ok(pool.grow({ rows: 1, tokens: 200 }));
    assert.ok(pool.grow({ rows: 3, tokens: 50 }));
    assert.deepEqual(asked.splice(0), ["1x256", "3x256", "3x153", "3x85"]);
    // 255 cells of 256: the one that is left over is not lost.
    assert.ok(pool.grow({ rows: 1, tokens: 256 }));
    assert.deepEqual(asked, ["1x256"]);
    assert.deepEqual([pool.cells, pool.growths, pool.refusals, pool.growing], [256, 3, 2, 5_000]);
  });

  it("asks for no shape twice, and for nothing beyond what it was refused, until that is forgotten", () => {
    const { pool, asked } = open(256);
    assert.ok(pool.grow({ rows: 1, tokens: 256 }));
    assert.equal(pool.grow({ rows: 2, tokens: 256 }), false);
    assert.deepEqual(asked.splice(0), ["1x256", "2x256"]);
    assert.equal(pool.grow({ rows: 2, tokens: 256 }), false);
    assert.deepEqual(asked, []);
    pool.forgetRefusals();
    assert.equal(pool.grow({ rows: 2, tokens: 256 }), false);
    assert.deepEqual(asked, ["2x256"]);
  });

  it("tells of what happened since it last told, as one", () => {
    const { pool } = open(256);
    assert.equal(pool.takeGrowth(), undefined);
    pool.grow({ rows: 1, tokens: 256 });
    pool.grow({ rows: 2, tokens: 256 });
    assert.deepEqual(pool.takeGrowth(), { start: 0, end: 2_000, from: 0, to: 256, refused: 512 });
    assert.equal(pool.takeGrowth(), undefined);
  });
});
