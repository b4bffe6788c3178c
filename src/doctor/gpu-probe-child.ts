/** Run by `probeGpus` in a process of its own, since a driver that is broken may hang or crash whoever asks it. */
import { openNvml } from "../../native/nvml.js";
import type { GpuFacts, GpuProbe } from "./gpu-probe.js";

function probe(): GpuProbe {
  const nvml = openNvml();
  if (nvml === undefined) return { kind: "no-library" };
  const gpus = Array.from({ length: nvml.deviceCount }, (_, index): GpuFacts => {
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
  });
  const { driverVersion = "unknown", cudaVersion = "0.0" } = nvml;
  return { kind: "driver", driverVersion, cudaVersion, gpus };
}

function answer(): GpuProbe {
  try {
    return probe();
  } catch (error) {
    return { kind: "broken", why: error instanceof Error ? error.message : String(error) };
  }
}

process.stdout.write(JSON.stringify(answer()));
