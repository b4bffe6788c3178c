/** One reading of one GPU. */
export interface GpuSample {
  /** Wall clock, microseconds since the epoch. */
  readonly at: number;
  /** Percent of the device's own sample period in which it was busy, 0 to 100. */
  readonly utilization: number;
  /** Device memory in use, by all processes. */
  readonly memoryUsedBytes: number;
  /** The whole board's draw, where the device reports it. */
  readonly powerWatts?: number;
}

/** Readings of one device; where they come from and how often they are worth taking. */
export interface GpuSampler {
  readonly source: "nvml" | "nvidia-smi";
  readonly periodMs: number;
  /** Undefined when the device gave no reading this time; never throws. */
  sample(): Promise<GpuSample | undefined>;
  close(): void;
}
