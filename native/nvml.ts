/**
 * NVIDIA's management library, through koffi: what is needed to watch a device. A reading that a device, its driver or
 * the user's rights do not give is undefined by itself; only a device that is gone fails as a whole.
 * Source: NVML API Reference Guide (https://docs.nvidia.com/deploy/nvml-api/).
 */
import { koffi, type LibraryHandle } from "./koffi.js";
import { declareNvml, initNvml, type NvmlApi, type NvmlFunction, SUCCESS } from "./nvml-api.js";
import { HandleDevice, type NvmlDevice, NvmlError, textFrom } from "./nvml-device.js";

export { type GpuProcess, type NvmlDevice, NvmlError, type ThrottleReason } from "./nvml-device.js";

const LIBRARY = "libnvidia-ml.so.1";

export interface Nvml {
  readonly driverVersion: string | undefined;
  /** Newest CUDA that the driver runs, `13.0`. */
  readonly cudaVersion: string | undefined;
  readonly deviceCount: number;
  /** Devices in the order of their PCI addresses. Throws NvmlError where there is none of that index. */
  deviceByIndex(index: number): NvmlDevice;
  /** `GPU-…` or `MIG-…`, in full. */
  deviceByUuid(uuid: string): NvmlDevice;
  /** Devices must not be used afterwards. */
  close(): void;
}

/**
 * Undefined when the library is not installed. Rejects with NvmlError when it is, but does not work (no driver, say). The
 * caller's thread goes on meanwhile.
 */
export async function openNvml(library: string = LIBRARY): Promise<Nvml | undefined> {
  let handle: LibraryHandle;
  try {
    handle = koffi.load(library);
  } catch {
    return undefined;
  }
  const api = declareNvml(handle);
  const succeed = (name: string, code: number): void => {
    if (code !== SUCCESS) throw new NvmlError(name, code, api.nvmlErrorString(code));
  };
  const must = (name: NvmlFunction, ...args: unknown[]): void => succeed(name, api[name](...args));
  succeed("nvmlInit_v2", await initNvml(handle));
  const find = (name: NvmlFunction, selector: number | string): NvmlDevice => {
    const out: [bigint | null] = [null];
    must(name, selector, out);
    return new HandleDevice(api, out[0]);
  };
  return {
    driverVersion: textFrom((buffer) => api.nvmlSystemGetDriverVersion(buffer, buffer.length)),
    cudaVersion: cudaVersion(api),
    get deviceCount() {
      const count = [0];
      must("nvmlDeviceGetCount_v2", count);
      return count[0] ?? 0;
    },
    deviceByIndex: (index) => find("nvmlDeviceGetHandleByIndex_v2", index),
    deviceByUuid: (uuid) => find("nvmlDeviceGetHandleByUUID", uuid),
    close: () => must("nvmlShutdown"),
  };
}

/** 13000 is 13.0. */
function cudaVersion(api: NvmlApi): string | undefined {
  const out = [0];
  if (api.nvmlSystemGetCudaDriverVersion_v2(out) !== SUCCESS) return undefined;
  const [version = 0] = out;
  return `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`;
}
