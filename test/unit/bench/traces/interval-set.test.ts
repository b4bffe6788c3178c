import assert from "node:assert/strict";
import fc from "fast-check";
import { IntervalSet } from "../../../../src/bench/traces/interval-set.js";

const LAST = 30;
const interval = fc.tuple(fc.integer({ min: 0, max: LAST }), fc.integer({ min: 0, max: LAST }));
const set = fc.array(interval, { maxLength: 8 }).map((intervals) => IntervalSet.of(intervals));

/** The moments from 0 to LAST that the set holds, one by one. */
function moments({ intervals }: IntervalSet): boolean[] {
  return Array.from({ length: LAST + 1 }, (_, at) => intervals.some(([start, end]) => at >= start && at < end));
}

describe("IntervalSet", () => {
  it("intersects and takes away, moment by moment", () => {
    fc.assert(
      fc.property(set, set, (one, other) => {
        const [a, b] = [moments(one), moments(other)];
        assert.deepEqual(
          moments(one.intersect(other)),
          a.map((held, at) => held && b[at] === true),
        );
        assert.deepEqual(
          moments(one.minus(other)),
          a.map((held, at) => held && b[at] !== true),
        );
      }),
    );
  });

  it("keeps its intervals in order, apart and not empty, and its length is theirs", () => {
    fc.assert(
      fc.property(fc.array(interval, { maxLength: 8 }), (intervals) => {
        const made = IntervalSet.of(intervals);
        made.intervals.forEach(([start, end], index) => {
          assert.ok(start < end);
          assert.ok((made.intervals[index - 1]?.[1] ?? -1) < start);
        });
        assert.equal(made.length, moments(made).filter((held) => held).length);
      }),
    );
  });

  it("loses nothing by a split: what is in another set and what is not make the whole", () => {
    fc.assert(
      fc.property(set, set, (one, other) => {
        assert.equal(one.intersect(other).length + one.minus(other).length, one.length);
      }),
    );
  });
});
