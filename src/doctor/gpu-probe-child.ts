/** Run by `probeGpus` in a process of its own, since a driver that is broken may hang or crash whoever asks it. */
import { type Nvml, NvmlError, openNvml } from "../../native/nvml.js";
import type { GpuFacts, GpuProbe, LostGpu } from "./gpu-probe.js";

async function probe(): Promise<GpuProbe> {
  const nvml = await openNvml();
  if (nvml === undefined) return { kind: "no-library" };
  const gpus = Array.from({ length: nvml.deviceCount }, (_, index) => gpuAt(nvml, index));
  const { driverVersion = "unknown", cudaVersion = "0.0" } = nvml;
  return { kind: "driver", driverVersion, cudaVersion, gpus };
}

function gpuAt(nvml: Nvml, index: number): GpuFacts | LostGpu {
  try {
    const device = nvml.deviceByIndex(index);
    const memory = device.memory();
    return {
      name: device.name ?? "unnamed",
      uuid: device.uuid ?? "",
      ...(memory === undefined ? {} : { memoryTotal: memory.total, memoryUsed: memory.used }),
      processes: (device.processes() ?? []).map(({ pid }) => pid),
      throttled: device.throttleReasons() ?? [],
      eccUncorrected: device.eccErrors("uncorrected") ?? 0,
      migEnabled: device.migEnabled() ?? false,
    };
  } catch (error) {
    if (error instanceof NvmlError) return { lost: error.message };
    throw error;
  }
}

async function answer(): Promise<GpuProbe> {
  try {
    return await probe();
  } catch (error) {
    return { kind: "broken", why: error instanceof Error ? error.message : String(error) };
  }
}

process.stdout.write(JSON.stringify(await answer()));
