/**
 * nvml.h as far as it is used here: functions by name, and the layouts they fill.
 * Source: NVML API Reference Guide, vR610 (https://docs.nvidia.com/deploy/nvml-api/). A function that the installed
 * library does not have (an older driver's) answers NVML_ERROR_FUNCTION_NOT_FOUND, as NVML itself would.
 */
import { koffi, type LibraryHandle } from "./koffi.js";

export const SUCCESS = 0;
export const INSUFFICIENT_SIZE = 7;
const FUNCTION_NOT_FOUND = 13;

/** Returns `nvmlReturn_t`. */
export type NvmlCall = (...args: unknown[]) => number;

const device = koffi.pointer(koffi.opaque());
const outDevice = koffi.out(koffi.pointer(device));
const outInt = koffi.out(koffi.pointer("int32_t"));
const outUint = koffi.out(koffi.pointer("uint32_t"));
const outUlong = koffi.out(koffi.pointer("uint64_t"));
const inoutUint = koffi.inout(koffi.pointer("uint32_t"));
const text = "uint8_t *";

/** `nvmlUtilization_t`: percent of the last sample period. */
const utilization = koffi.struct({ gpu: "uint32_t", memory: "uint32_t" });
/** `nvmlMemory_t`: here `used` includes what the driver reserves. */
const memory = koffi.struct({ total: "uint64_t", free: "uint64_t", used: "uint64_t" });
/** `nvmlMemory_v2_t`: versioned, and `used` is what processes hold. */
const memoryV2 = koffi.struct({
  version: "uint32_t",
  total: "uint64_t",
  reserved: "uint64_t",
  free: "uint64_t",
  used: "uint64_t",
});
/** `nvmlProcessInfo_v2_t`, which `…RunningProcesses_v3` fills too. */
export const processInfo = koffi.struct({
  pid: "uint32_t",
  usedGpuMemory: "uint64_t",
  gpuInstanceId: "uint32_t",
  computeInstanceId: "uint32_t",
});

/** `NVML_STRUCT_VERSION(Memory, 2)`: the size, and the version in the highest byte. */
export const MEMORY_V2 = koffi.sizeof(memoryV2) | (2 << 24);

export type NvmlFunction =
  | "nvmlShutdown"
  | "nvmlSystemGetDriverVersion"
  | "nvmlSystemGetCudaDriverVersion_v2"
  | "nvmlDeviceGetCount_v2"
  | "nvmlDeviceGetHandleByIndex_v2"
  | "nvmlDeviceGetHandleByUUID"
  | "nvmlDeviceGetName"
  | "nvmlDeviceGetUUID"
  | "nvmlDeviceGetUtilizationRates"
  | "nvmlDeviceGetMemoryInfo"
  | "nvmlDeviceGetMemoryInfo_v2"
  | "nvmlDeviceGetPowerUsage"
  | "nvmlDeviceGetTotalEnergyConsumption"
  | "nvmlDeviceGetTemperature"
  | "nvmlDeviceGetClockInfo"
  | "nvmlDeviceGetCurrentClocksEventReasons"
  | "nvmlDeviceGetCurrentClocksThrottleReasons"
  | "nvmlDeviceGetMigMode"
  | "nvmlDeviceGetTotalEccErrors"
  | "nvmlDeviceGetComputeRunningProcesses_v3"
  | "nvmlDeviceGetComputeRunningProcesses_v2";

// What koffi's widest overload takes: the package does not export it by name.
type Arguments = Parameters<LibraryHandle["func"]>[3];

const SIGNATURES: Readonly<Record<NvmlFunction, Arguments>> = {
  nvmlShutdown: [],
  nvmlSystemGetDriverVersion: [text, "uint32_t"],
  nvmlSystemGetCudaDriverVersion_v2: [outInt],
  nvmlDeviceGetCount_v2: [outUint],
  nvmlDeviceGetHandleByIndex_v2: ["uint32_t", outDevice],
  nvmlDeviceGetHandleByUUID: ["str", outDevice],
  nvmlDeviceGetName: [device, text, "uint32_t"],
  nvmlDeviceGetUUID: [device, text, "uint32_t"],
  nvmlDeviceGetUtilizationRates: [device, koffi.out(koffi.pointer(utilization))],
  nvmlDeviceGetMemoryInfo: [device, koffi.out(koffi.pointer(memory))],
  nvmlDeviceGetMemoryInfo_v2: [device, koffi.inout(koffi.pointer(memoryV2))],
  nvmlDeviceGetPowerUsage: [device, outUint],
  nvmlDeviceGetTotalEnergyConsumption: [device, outUlong],
  nvmlDeviceGetTemperature: [device, "int", outUint],
  nvmlDeviceGetClockInfo: [device, "int", outUint],
  nvmlDeviceGetCurrentClocksEventReasons: [device, outUlong],
  nvmlDeviceGetCurrentClocksThrottleReasons: [device, outUlong],
  nvmlDeviceGetMigMode: [device, outUint, outUint],
  nvmlDeviceGetTotalEccErrors: [device, "int", "int", outUlong],
  nvmlDeviceGetComputeRunningProcesses_v3: [device, inoutUint, "void *"],
  nvmlDeviceGetComputeRunningProcesses_v2: [device, inoutUint, "void *"],
};

export interface NvmlApi extends Readonly<Record<NvmlFunction, NvmlCall>> {
  nvmlErrorString(code: number): string;
  /** Held as long as the functions are: koffi unloads a library whose handle was collected. */
  readonly library: LibraryHandle;
}

/** Throws what koffi throws where the file is no NVML at all. */
export function declareNvml(library: LibraryHandle): NvmlApi {
  const errorString = library.func("nvmlErrorString", "str", ["int"]) as (code: number) => string;
  const calls = Object.entries(SIGNATURES).map(([name, args]) => [name, declared(library, name, args)]);
  return { ...(Object.fromEntries(calls) as Record<NvmlFunction, NvmlCall>), nvmlErrorString: errorString, library };
}

/**
 * `nvmlInit_v2`, on a thread of koffi's pool: it wakes every GPU, which takes seconds for each where no persistence mode keeps them
 * awake, and for ever where the driver is broken.
 */
export function initNvml(library: LibraryHandle): Promise<number> {
  const init = library.func("nvmlInit_v2", "int", []) as {
    async(done: (error: unknown, code: number) => void): void;
  };
  return new Promise((resolve, reject) => {
    init.async((error, code) => (error === null ? resolve(code) : reject(error)));
  });
}

function declared(library: LibraryHandle, name: string, args: Arguments): NvmlCall {
  try {
    return library.func(name, "int", args) as NvmlCall;
  } catch {
    return () => FUNCTION_NOT_FOUND;
  }
}
