/** One GPU, or a MIG slice of one, as NVML reads it. */
import { koffi } from "./koffi.js";
import {
  INSUFFICIENT_SIZE,
  MEMORY_V2,
  type NvmlApi,
  type NvmlCall,
  type NvmlFunction,
  processInfo,
  SUCCESS,
} from "./nvml-api.js";

/** Uninitialized, driver not loaded, GPU lost, reset required, library of another version than the driver. */
const GONE = new Set([1, 9, 15, 16, 18]);

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

/** What holds clocks down, by the bits of `nvmlDeviceGetCurrentClocksEventReasons`. */
const THROTTLE_REASONS = [
  "gpu_idle",
  "applications_clocks_setting",
  "sw_power_cap",
  "hw_slowdown",
  "sync_boost",
  "sw_thermal_slowdown",
  "hw_thermal_slowdown",
  "hw_power_brake_slowdown",
  "display_clock_setting",
] as const;
export type ThrottleReason = (typeof THROTTLE_REASONS)[number];

const CLOCKS = { sm: 1, memory: 2 } as const;
const ECC = { corrected: 0, uncorrected: 1 } as const;
/** Since the driver was loaded. */
const VOLATILE = 0;
const GPU_SENSOR = 0;
const MIG_ENABLED = 1;
/** `NVML_VALUE_NOT_AVAILABLE` as an unsigned long long. */
const NOT_AVAILABLE = 2n ** 64n - 1n;
/** `NVML_DEVICE_NAME_V2_BUFFER_SIZE`, the largest of the buffers used here. */
const TEXT_BYTES = 96;

/** A process with a compute context on the device. In a container of its own the pid is the host's. */
export interface GpuProcess {
  readonly pid: number;
  /** Undefined where the driver does not tell. */
  readonly memoryBytes: number | undefined;
}

/** One device. A reading is undefined where it cannot be had; NvmlError is thrown when the device is gone. */
export interface NvmlDevice {
  /** Product name, `NVIDIA H200`. */
  readonly name: string | undefined;
  /** `GPU-…`, or `MIG-…` for a slice of one. */
  readonly uuid: string | undefined;
  /** Percent of the last sample period (a sixth of a second to a second) in which a kernel ran, or memory was accessed. */
  utilization(): { readonly gpu: number; readonly memory: number } | undefined;
  /** Bytes of device memory that processes hold, and that there are. */
  memory(): { readonly used: number; readonly total: number } | undefined;
  /** Watts drawn by the whole board. */
  power(): number | undefined;
  /** Joules since the driver was loaded (Volta and later). */
  energy(): number | undefined;
  /** Degrees Celsius of the die. */
  temperature(): number | undefined;
  /** Hertz. */
  clock(domain: keyof typeof CLOCKS): number | undefined;
  throttleReasons(): ThrottleReason[] | undefined;
  migEnabled(): boolean | undefined;
  /** ECC errors of all memories since the driver was loaded. */
  eccErrors(type: keyof typeof ECC): number | undefined;
  processes(): GpuProcess[] | undefined;
}

/** Undefined where the call fails. */
export function textFrom(call: (buffer: Buffer) => number): string | undefined {
  const buffer = Buffer.alloc(TEXT_BYTES);
  return call(buffer) === SUCCESS ? buffer.toString("utf8", 0, buffer.indexOf(0)) : undefined;
}

/** What a handle of NVML gives. */
export class HandleDevice implements NvmlDevice {
  readonly name: string | undefined;
  readonly uuid: string | undefined;
  // Reused at every reading: the sampler runs for the life of the process.
  readonly #rates = { gpu: 0, memory: 0 };
  readonly #memory = { total: 0, free: 0, used: 0 };
  readonly #memoryV2 = { version: MEMORY_V2, total: 0, reserved: 0, free: 0, used: 0 };
  #processes = Buffer.alloc(16 * koffi.sizeof(processInfo));

  constructor(
    private readonly api: NvmlApi,
    private readonly handle: bigint | null,
  ) {
    this.name = textFrom((buffer) => api.nvmlDeviceGetName(handle, buffer, buffer.length));
    this.uuid = textFrom((buffer) => api.nvmlDeviceGetUUID(handle, buffer, buffer.length));
  }

  utilization() {
    return this.#reads("nvmlDeviceGetUtilizationRates", this.#rates) ? { ...this.#rates } : undefined;
  }

  memory() {
    if (this.#reads("nvmlDeviceGetMemoryInfo_v2", this.#memoryV2)) return sizes(this.#memoryV2);
    return this.#reads("nvmlDeviceGetMemoryInfo", this.#memory) ? sizes(this.#memory) : undefined;
  }

  power() {
    return scaled(this.#number("nvmlDeviceGetPowerUsage"), 1e-3);
  }

  energy() {
    return scaled(this.#number("nvmlDeviceGetTotalEnergyConsumption"), 1e-3);
  }

  temperature() {
    return this.#number("nvmlDeviceGetTemperature", GPU_SENSOR);
  }

  clock(domain: keyof typeof CLOCKS) {
    return scaled(this.#number("nvmlDeviceGetClockInfo", CLOCKS[domain]), 1e6);
  }

  throttleReasons() {
    const bits =
      this.#number("nvmlDeviceGetCurrentClocksEventReasons") ??
      // As drivers before 535 call it.
      this.#number("nvmlDeviceGetCurrentClocksThrottleReasons");
    return bits === undefined ? undefined : THROTTLE_REASONS.filter((_, bit) => (bits >>> bit) & 1);
  }

  migEnabled() {
    const [current, pending] = [[0], [0]];
    return this.#reads("nvmlDeviceGetMigMode", current, pending) ? current[0] === MIG_ENABLED : undefined;
  }

  eccErrors(type: keyof typeof ECC) {
    return this.#number("nvmlDeviceGetTotalEccErrors", ECC[type], VOLATILE);
  }

  processes() {
    return (
      this.#processesBy("nvmlDeviceGetComputeRunningProcesses_v3") ??
      this.#processesBy("nvmlDeviceGetComputeRunningProcesses_v2")
    );
  }

  #processesBy(name: NvmlFunction): GpuProcess[] | undefined {
    const bytes = koffi.sizeof(processInfo);
    // Processes may start between two calls: room for some more than there were.
    for (let attempt = 0; attempt < 3; attempt++) {
      const count = [this.#processes.length / bytes];
      const code = this.#call(this.api[name], name, count, this.#processes);
      const found = count[0] ?? 0;
      if (code === SUCCESS) return this.#decodeProcesses(found);
      if (code !== INSUFFICIENT_SIZE) return undefined;
      this.#processes = Buffer.alloc((found + 8) * bytes);
    }
    return undefined;
  }

  #decodeProcesses(count: number): GpuProcess[] {
    // koffi has no arrays of nothing.
    if (count === 0) return [];
    const entries = koffi.decode(this.#processes, koffi.array(processInfo, count)) as {
      pid: number;
      usedGpuMemory: number | bigint;
    }[];
    return entries.map(({ pid, usedGpuMemory }) => ({
      pid,
      memoryBytes: BigInt(usedGpuMemory) === NOT_AVAILABLE ? undefined : Number(usedGpuMemory),
    }));
  }

  /** A reading whose last argument is where one number goes. */
  #number(name: NvmlFunction, ...args: readonly number[]): number | undefined {
    const out: [number | bigint] = [0];
    return this.#reads(name, ...args, out) ? Number(out[0]) : undefined;
  }

  #reads(name: NvmlFunction, ...args: readonly unknown[]): boolean {
    return this.#call(this.api[name], name, ...args) === SUCCESS;
  }

  #call(call: NvmlCall, name: NvmlFunction, ...args: readonly unknown[]): number {
    const code = call(this.handle, ...args);
    if (GONE.has(code)) throw new NvmlError(name, code, this.api.nvmlErrorString(code));
    return code;
  }
}

const sizes = ({ used, total }: { used: number | bigint; total: number | bigint }) => ({
  used: Number(used),
  total: Number(total),
});

const scaled = (value: number | undefined, factor: number): number | undefined =>
  value === undefined ? undefined : value * factor;
