/**
 * NVIDIA's management library, through koffi: the few calls needed to watch one device.
 * Source: NVML API Reference (nvml.h); only calls and layouts that have been stable since NVML 5.
 */
import koffi, { type LibraryHandle } from "koffi";

const LIBRARY = "libnvidia-ml.so.1";
const SUCCESS = 0;
const NOT_SUPPORTED = 3;

/** A call that NVML refused. */
export class NvmlError extends Error {
  override readonly name = "NvmlError";

  constructor(
    readonly call: string,
    /** `nvmlReturn_t`. */
    readonly code: number,
    description: string,
  ) {
    super(`${call}: ${description} (NVML error ${code})`);
  }
}

/** One device. A reading is undefined where this device does not support it; any other failure throws NvmlError. */
export interface NvmlDevice {
  /** Percent of the last sample period (a sixth of a second to a second) in which a kernel ran, 0 to 100. */
  utilization(): number | undefined;
  /** Bytes of device memory in use, by all processes. */
  memoryUsed(): number | undefined;
  /** Watts drawn by the whole board. */
  power(): number | undefined;
}

export interface Nvml {
  deviceByIndex(index: number): NvmlDevice;
  /** `GPU-…`, as nvidia-smi prints it. */
  deviceByUuid(uuid: string): NvmlDevice;
  /** Devices must not be used afterwards. */
  close(): void;
}

/** Argument types, as koffi takes them (the package does not export their type by name). */
type CTypes = Parameters<LibraryHandle["func"]>[3];
type Call = (...args: unknown[]) => number;

/** Undefined when the library is not installed. Throws NvmlError when it is, but does not work (no driver, say). */
export function openNvml(library: string = LIBRARY): Nvml | undefined {
  let nvml: LibraryHandle;
  try {
    nvml = koffi.load(library);
  } catch {
    return undefined;
  }
  const device = koffi.pointer(koffi.opaque());
  const outDevice = koffi.out(koffi.pointer(device));
  const outUint = koffi.out(koffi.pointer("uint32_t"));
  const outUtilization = koffi.out(koffi.pointer(koffi.struct({ gpu: "uint32_t", memory: "uint32_t" })));
  const outMemory = koffi.out(koffi.pointer(koffi.struct({ total: "uint64_t", free: "uint64_t", used: "uint64_t" })));

  const errorString = nvml.func("nvmlErrorString", "str", ["int"]) as (code: number) => string;
  const check = (name: string, code: number): void => {
    if (code !== SUCCESS) throw new NvmlError(name, code, errorString(code));
  };
  const checked = (name: string, args: CTypes): ((...args: unknown[]) => void) => {
    const call = nvml.func(name, "int", args) as Call;
    return (...values) => check(name, call(...values));
  };
  /** As `checked`, but false where the device has no such reading. */
  const reading = (name: string, args: CTypes): ((...args: unknown[]) => boolean) => {
    const call = nvml.func(name, "int", args) as Call;
    return (...values) => {
      const code = call(...values);
      if (code === NOT_SUPPORTED) return false;
      check(name, code);
      return true;
    };
  };

  const init = checked("nvmlInit_v2", []);
  const shutdown = checked("nvmlShutdown", []);
  const handleByIndex = checked("nvmlDeviceGetHandleByIndex_v2", ["uint32_t", outDevice]);
  const handleByUuid = checked("nvmlDeviceGetHandleByUUID", ["str", outDevice]);
  const utilizationRates = reading("nvmlDeviceGetUtilizationRates", [device, outUtilization]);
  const memoryInfo = reading("nvmlDeviceGetMemoryInfo", [device, outMemory]);
  const powerUsage = reading("nvmlDeviceGetPowerUsage", [device, outUint]);

  const open = (handleBy: (...args: unknown[]) => void, selector: number | string): NvmlDevice => {
    const out: [bigint | null] = [null];
    handleBy(selector, out);
    const [handle] = out;
    // Reused at every reading: the sampler runs for the life of the process.
    const rates = { gpu: 0, memory: 0 };
    const memory = { total: 0, free: 0, used: 0 };
    const milliwatts = [0];
    return {
      utilization: () => (utilizationRates(handle, rates) ? rates.gpu : undefined),
      memoryUsed: () => (memoryInfo(handle, memory) ? Number(memory.used) : undefined),
      power: () => (powerUsage(handle, milliwatts) ? (milliwatts[0] ?? 0) / 1000 : undefined),
    };
  };

  init();
  return {
    deviceByIndex: (index) => open(handleByIndex, index),
    deviceByUuid: (uuid) => open(handleByUuid, uuid),
    close: () => shutdown(),
  };
}
