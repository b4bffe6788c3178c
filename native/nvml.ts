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

/** A function of the library: false where the device has no such reading; any other failure throws NvmlError. */
type Read = (...args: unknown[]) => boolean;
/** One for which there is nothing to be told but that it succeeded. */
type Call = (...args: unknown[]) => void;

interface Functions {
  readonly init: Call;
  readonly shutdown: Call;
  readonly handleByIndex: Call;
  readonly handleByUuid: Call;
  readonly utilizationRates: Read;
  readonly memoryInfo: Read;
  readonly powerUsage: Read;
}

/** Undefined when the library is not installed. Throws NvmlError when it is, but does not work (no driver, say). */
export function openNvml(library: string = LIBRARY): Nvml | undefined {
  let handle: LibraryHandle;
  try {
    handle = koffi.load(library);
  } catch {
    return undefined;
  }
  const nvml = declare(handle);
  nvml.init();
  return {
    deviceByIndex: (index) => device(nvml, nvml.handleByIndex, index),
    deviceByUuid: (uuid) => device(nvml, nvml.handleByUuid, uuid),
    close: () => nvml.shutdown(),
  };
}

/** nvml.h, as far as it is used here. */
function declare(library: LibraryHandle): Functions {
  const device = koffi.pointer(koffi.opaque());
  const outDevice = koffi.out(koffi.pointer(device));
  const outUint = koffi.out(koffi.pointer("uint32_t"));
  const outUtilization = koffi.out(koffi.pointer(koffi.struct({ gpu: "uint32_t", memory: "uint32_t" })));
  const outMemory = koffi.out(koffi.pointer(koffi.struct({ total: "uint64_t", free: "uint64_t", used: "uint64_t" })));

  const errorString = library.func("nvmlErrorString", "str", ["int"]) as (code: number) => string;
  // The type of the arguments is what koffi's widest overload takes: the package does not export it by name.
  const read = (name: string, args: Parameters<LibraryHandle["func"]>[3]): Read => {
    const call = library.func(name, "int", args) as (...values: unknown[]) => number;
    return (...values) => {
      const code = call(...values);
      if (code !== SUCCESS && code !== NOT_SUPPORTED) throw new NvmlError(name, code, errorString(code));
      return code === SUCCESS;
    };
  };
  return {
    init: read("nvmlInit_v2", []),
    shutdown: read("nvmlShutdown", []),
    handleByIndex: read("nvmlDeviceGetHandleByIndex_v2", ["uint32_t", outDevice]),
    handleByUuid: read("nvmlDeviceGetHandleByUUID", ["str", outDevice]),
    utilizationRates: read("nvmlDeviceGetUtilizationRates", [device, outUtilization]),
    memoryInfo: read("nvmlDeviceGetMemoryInfo", [device, outMemory]),
    powerUsage: read("nvmlDeviceGetPowerUsage", [device, outUint]),
  };
}

function device(nvml: Functions, handleBy: Call, selector: number | string): NvmlDevice {
  const out: [bigint | null] = [null];
  handleBy(selector, out);
  const [handle] = out;
  // Reused at every reading: the sampler runs for the life of the process.
  const rates = { gpu: 0, memory: 0 };
  const memory = { total: 0, free: 0, used: 0 };
  const milliwatts = [0];
  return {
    utilization: () => (nvml.utilizationRates(handle, rates) ? rates.gpu : undefined),
    memoryUsed: () => (nvml.memoryInfo(handle, memory) ? Number(memory.used) : undefined),
    power: () => (nvml.powerUsage(handle, milliwatts) ? (milliwatts[0] ?? 0) / 1000 : undefined),
  };
}
