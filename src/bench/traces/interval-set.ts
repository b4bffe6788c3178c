/** From `start` up to, not including, `end`, in any unit. */
export type Interval = readonly [start: number, end: number];

/** A set of moments, as disjoint intervals in order. Never changes; empty and reversed intervals hold no moment. */
export class IntervalSet {
  private constructor(readonly intervals: readonly Interval[]) {}

  static of(intervals: readonly Interval[]): IntervalSet {
    const sorted = intervals.filter(([start, end]) => end > start).sort(([a], [b]) => a - b);
    const merged: [number, number][] = [];
    for (const [start, end] of sorted) {
      const last = merged.at(-1);
      if (last !== undefined && start <= last[1]) last[1] = Math.max(last[1], end);
      else merged.push([start, end]);
    }
    return new IntervalSet(merged);
  }

  /** Its whole duration. */
  get length(): number {
    return this.intervals.reduce((sum, [start, end]) => sum + end - start, 0);
  }

  intersect(other: IntervalSet): IntervalSet {
    const found: Interval[] = [];
    let [mine, theirs] = [0, 0];
    for (;;) {
      const [one, another] = [this.intervals[mine], other.intervals[theirs]];
      if (one === undefined || another === undefined) return IntervalSet.of(found);
      found.push([Math.max(one[0], another[0]), Math.min(one[1], another[1])]);
      if (one[1] < another[1]) mine++;
      else theirs++;
    }
  }

  minus(other: IntervalSet): IntervalSet {
    const gaps: Interval[] = [];
    let reached = Number.NEGATIVE_INFINITY;
    for (const [start, end] of other.intervals) {
      gaps.push([reached, start]);
      reached = end;
    }
    gaps.push([reached, Number.POSITIVE_INFINITY]);
    return this.intersect(new IntervalSet(gaps));
  }
}
