/** The quick way to read a GPU: NVML, some tens of microseconds a reading. */
import { type Nvml, type NvmlDevice, NvmlError, openNvml } from "../../native/nvml.js";
import type { GpuReading, GpuSample, GpuSampler } from "./sample.js";
import type { ListedGpu } from "./visible-device.js";

/** NVML itself refreshes utilization a few times a second. */
const PERIOD_MS = 100;

/** An index, a MIG slice's UUID, or neither, by the GPUs there are. */
export type ChooseGpu = (gpus: readonly ListedGpu[]) => number | string | undefined;

/** Why there is no sampler: one clause for the log. */
export interface NoSampler {
  readonly why: string;
}

export interface NvmlSource {
  readonly library?: string;
  readonly now?: () => number;
}

/** A sampler over NVML, or why there is none. Rejects with nothing that a machine can be to blame for. */
export async function openNvmlSampler(
  choose: ChooseGpu,
  { library, now = Date.now }: NvmlSource = {},
): Promise<GpuSampler | NoSampler> {
  let nvml: Nvml | undefined;
  try {
    nvml = await openNvml(library);
    if (nvml === undefined) return { why: "libnvidia-ml.so.1 is not installed" };
    const chosen = choose(listed(nvml));
    if (chosen === undefined) throw new NvmlError("choose", 6, "no GPU of this machine is that CUDA device");
    const device = typeof chosen === "number" ? nvml.deviceByIndex(chosen) : nvml.deviceByUuid(chosen);
    if (quickly(device, now) !== undefined) return samplerOf(nvml, device, now);
    throw new NvmlError("sample", 3, "the GPU gives no reading");
  } catch (error) {
    closed(nvml);
    if (error instanceof NvmlError) return { why: error.message };
    throw error;
  }
}

/** A GPU that is lost still has its place on the list. */
function listed(nvml: Nvml): ListedGpu[] {
  return Array.from({ length: nvml.deviceCount }, (_, index) => {
    try {
      const { uuid, name } = nvml.deviceByIndex(index);
      return { uuid, name };
    } catch (error) {
      if (error instanceof NvmlError) return { uuid: undefined, name: undefined };
      throw error;
    }
  });
}

function closed(nvml: Nvml | undefined): void {
  try {
    nvml?.close();
  } catch {
    // It was not well to begin with.
  }
}

function samplerOf(nvml: Nvml, device: NvmlDevice, now: () => number): GpuSampler {
  return {
    source: "nvml",
    periodMs: PERIOD_MS,
    sample: async () => unlessGone(() => quickly(device, now)),
    read: async () => unlessGone(() => wholly(device, now)),
    close: () => nvml.close(),
  };
}

/** The GPU fell off the bus, or its driver was replaced: no reading, and no harm to who asked. */
function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof NvmlError) return undefined;
    throw error;
  }
}

/** Undefined where not one reading can be had. */
function quickly(device: NvmlDevice, now: () => number): GpuSample | undefined {
  const sample = defined({
    utilization: device.utilization()?.gpu,
    memoryUsedBytes: device.memory()?.used,
    powerWatts: device.power(),
    energyJoules: device.energy(),
    throttleReasons: device.throttleReasons(),
  });
  return Object.keys(sample).length === 0 ? undefined : { at: now() * 1000, ...sample };
}

function wholly(device: NvmlDevice, now: () => number): GpuReading | undefined {
  const sample = quickly(device, now);
  if (sample === undefined) return undefined;
  return {
    ...sample,
    ...defined({
      uuid: device.uuid,
      name: device.name,
      memoryActivity: device.utilization()?.memory,
      memoryTotalBytes: device.memory()?.total,
      temperatureCelsius: device.temperature(),
      smClockHertz: device.clock("sm"),
      memoryClockHertz: device.clock("memory"),
      migEnabled: device.migEnabled(),
      eccCorrected: device.eccErrors("corrected"),
      eccUncorrected: device.eccErrors("uncorrected"),
      processes: device.processes(),
    }),
  };
}

type Defined<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> };

function defined<T extends object>(readings: T): Defined<T> {
  return Object.fromEntries(Object.entries(readings).filter(([, value]) => value !== undefined)) as Defined<T>;
}
