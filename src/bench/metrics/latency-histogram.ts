import { build, type Histogram } from "hdr-histogram-js";

/** An hour; what takes longer counts as an hour. */
const MOST_MICROS = 3_600_000_000;

/** Latencies in milliseconds, kept to the microsecond and to three digits. */
export class LatencyHistogram {
  readonly #histogram: Histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: MOST_MICROS,
    numberOfSignificantValueDigits: 3,
    bitBucketSize: 32,
    autoResize: false,
    useWebAssembly: false,
  });
  #sum = 0;
  #max = 0;

  add(ms: number): void {
    const value = Math.max(0, ms);
    this.#histogram.recordValue(Math.min(MOST_MICROS, Math.round(value * 1e3)));
    this.#sum += value;
    this.#max = Math.max(this.#max, value);
  }

  get count(): number {
    return this.#histogram.totalCount;
  }

  get sum(): number {
    return this.#sum;
  }

  get max(): number {
    return this.#max;
  }

  /** The least value that so much per cent of the values are at most; NaN where there are none. */
  percentile(percent: number): number {
    if (this.count === 0) return Number.NaN;
    // A bucket's upper end may be above everything in it.
    return Math.min(this.#max, this.#histogram.getValueAtPercentile(percent) / 1e3);
  }
}
