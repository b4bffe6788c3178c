/** Reads a GPU's state by the best means this machine has: NVML, else the nvidia-smi command, else not at all. */
import { type Nvml, type NvmlDevice, NvmlError, openNvml } from "../../native/nvml.js";
import { openNvidiaSmi } from "./nvidia-smi.js";
import type { GpuSample, GpuSampler } from "./sample.js";

export type { GpuSample, GpuSampler } from "./sample.js";

/** NVML itself refreshes utilization a few times a second; a reading costs tens of microseconds. */
const NVML_PERIOD_MS = 100;

/**
 * Undefined where no GPU can be read. `deviceId` is the CUDA index; `CUDA_VISIBLE_DEVICES` is heeded, since NVML
 * and nvidia-smi count all devices of the machine.
 */
export async function openGpuSampler(deviceId = 0): Promise<GpuSampler | undefined> {
  const device = physicalDevice(deviceId, process.env.CUDA_VISIBLE_DEVICES);
  if (device === undefined) return undefined;
  return openNvmlSampler(device) ?? (await openNvidiaSmi(device));
}

/** Undefined where the library is missing, does not work, or cannot read this device. */
export function openNvmlSampler(device: number | string, library?: string, now = Date.now): GpuSampler | undefined {
  let nvml: Nvml | undefined;
  try {
    nvml = openNvml(library);
    if (nvml === undefined) return undefined;
    const handle = typeof device === "number" ? nvml.deviceByIndex(device) : nvml.deviceByUuid(device);
    if (read(handle, now) !== undefined) return nvmlSampler(nvml, handle, now);
  } catch (error) {
    if (!(error instanceof NvmlError)) throw error;
  }
  nvml?.close();
  return undefined;
}

function nvmlSampler(nvml: Nvml, device: NvmlDevice, now: () => number): GpuSampler {
  return {
    source: "nvml",
    periodMs: NVML_PERIOD_MS,
    async sample() {
      try {
        return read(device, now);
      } catch (error) {
        // The GPU fell off the bus, or its driver was replaced: no reading, and no harm to who asked.
        if (error instanceof NvmlError) return undefined;
        throw error;
      }
    },
    close: () => nvml.close(),
  };
}

function read(device: NvmlDevice, now: () => number): GpuSample | undefined {
  const utilization = device.utilization();
  const memoryUsedBytes = device.memoryUsed();
  if (utilization === undefined || memoryUsedBytes === undefined) return undefined;
  const powerWatts = device.power();
  return { at: now() * 1000, utilization, memoryUsedBytes, ...(powerWatts === undefined ? {} : { powerWatts }) };
}

/**
 * What CUDA's n-th device is called by the tools that see all devices: an index, or a UUID.
 * Source: CUDA C++ Programming Guide, "CUDA Environment Variables". CUDA lists the fastest device first unless
 * `CUDA_DEVICE_ORDER=PCI_BUS_ID`; on machines with different GPUs only UUIDs name them without doubt.
 */
export function physicalDevice(deviceId: number, visibleDevices: string | undefined): number | string | undefined {
  if (visibleDevices === undefined) return deviceId;
  const names = visibleDevices.split(",").map((name) => name.trim());
  const end = names.findIndex((name) => !/^(\d+|(GPU|MIG)-[\w/-]+)$/.test(name));
  // CUDA sees only the devices before the first invalid entry.
  const name = names.slice(0, end === -1 ? names.length : end)[deviceId];
  return name !== undefined && /^\d+$/.test(name) ? Number(name) : name;
}
