import type { GpuProcess, ThrottleReason } from "../../native/nvml.js";

/** One quick reading of one GPU, for what a span's interval did to it. What the device does not tell is absent. */
export interface GpuSample {
  /** Wall clock, microseconds since the epoch. */
  readonly at: number;
  /** Percent of the device's own sample period in which it was busy, 0 to 100. */
  readonly utilization?: number;
  /** Device memory in use, by all processes. */
  readonly memoryUsedBytes?: number;
  /** The whole board's draw. */
  readonly powerWatts?: number;
  /** The whole board's energy since its driver was loaded. */
  readonly energyJoules?: number;
  /** What holds its clocks down. */
  readonly throttleReasons?: readonly ThrottleReason[];
}

/** Everything a GPU tells, for `/metrics`. */
export interface GpuReading extends GpuSample {
  /** `GPU-…`, or `MIG-…`. */
  readonly uuid?: string;
  readonly name?: string;
  /** Percent of the sample period in which its memory was read or written, 0 to 100. */
  readonly memoryActivity?: number;
  readonly memoryTotalBytes?: number;
  readonly temperatureCelsius?: number;
  readonly smClockHertz?: number;
  readonly memoryClockHertz?: number;
  readonly migEnabled?: boolean;
  /** Since the driver was loaded. */
  readonly eccCorrected?: number;
  readonly eccUncorrected?: number;
  readonly processes?: readonly GpuProcess[];
}

/** Readings of one device; where they come from and how often they are worth taking. */
export interface GpuSampler {
  readonly source: "nvml" | "nvidia-smi";
  readonly periodMs: number;
  /** Undefined when the device gave nothing this time; never throws. */
  sample(): Promise<GpuSample | undefined>;
  /** The same for everything; where a reading is slow, the last one. */
  read(): Promise<GpuReading | undefined>;
  close(): void;
}
