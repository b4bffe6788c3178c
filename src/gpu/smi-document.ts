/**
 * `nvidia-smi -q -x`, parsed: one element a GPU, by PCI address. Names of elements changed over the years; each reading
 * takes the newest that is there, and what says "N/A" is absent.
 */
import type { GpuReading } from "./sample.js";
import type { ListedGpu } from "./visible-device.js";

const UNIT_FACTORS: Readonly<Record<string, number>> = {
  "%": 1,
  W: 1,
  C: 1,
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  MHz: 1e6,
};

type ThrottleReasons = Exclude<GpuReading["throttleReasons"], undefined>;

/** Elements of `clocks_event_reasons` (before 535 `clocks_throttle_reasons`), without their common beginning. */
const THROTTLE_ELEMENTS: Readonly<Record<string, ThrottleReasons[number]>> = {
  gpu_idle: "gpu_idle",
  applications_clocks_setting: "applications_clocks_setting",
  sw_power_cap: "sw_power_cap",
  hw_slowdown: "hw_slowdown",
  sync_boost: "sync_boost",
  sw_thermal_slowdown: "sw_thermal_slowdown",
  hw_thermal_slowdown: "hw_thermal_slowdown",
  hw_power_brake_slowdown: "hw_power_brake_slowdown",
  display_clocks_setting: "display_clock_setting",
};

export function listedGpus(document: unknown): ListedGpu[] {
  return gpusOf(document).map((gpu) => ({
    uuid: word(valueAt(gpu, "uuid")),
    name: word(valueAt(gpu, "product_name")),
  }));
}

/**
 * What the document says of one GPU. Undefined where it says nothing, or is asked for a MIG slice, whose own load
 * nvidia-smi does not tell.
 */
export function readingOf(document: unknown, device: number | string | undefined, at: number): GpuReading | undefined {
  const gpu = typeof device === "number" ? gpusOf(document)[device] : undefined;
  if (gpu === undefined) return undefined;
  const readings = { ...loadOf(gpu), ...healthOf(gpu) };
  const known = Object.entries({ ...readings }).filter(([, value]) => value !== undefined);
  if (known.length === 0) return undefined;
  const { uuid, name } = listedGpus(document)[Number(device)] ?? {};
  const identity = Object.entries({ uuid, name }).filter(([, value]) => value !== undefined);
  return { at, ...Object.fromEntries([...identity, ...known]) };
}

function loadOf(gpu: unknown) {
  // The element's name depends on the driver: from 2023 on `gpu_power_readings`, with up to three kinds of draw.
  const power = valueAt(gpu, "gpu_power_readings") ?? valueAt(gpu, "power_readings");
  const draws = ["power_draw", "instant_power_draw", "average_power_draw"].map((name) =>
    quantity(valueAt(power, name)),
  );
  return {
    utilization: quantity(valueAt(gpu, "utilization", "gpu_util")),
    memoryActivity: quantity(valueAt(gpu, "utilization", "memory_util")),
    memoryUsedBytes: quantity(valueAt(gpu, "fb_memory_usage", "used")),
    memoryTotalBytes: quantity(valueAt(gpu, "fb_memory_usage", "total")),
    powerWatts: draws.find((watts) => watts !== undefined),
    temperatureCelsius: quantity(valueAt(gpu, "temperature", "gpu_temp")),
    smClockHertz: quantity(valueAt(gpu, "clocks", "sm_clock")),
    memoryClockHertz: quantity(valueAt(gpu, "clocks", "mem_clock")),
    processes: processesOf(gpu),
  };
}

function healthOf(gpu: unknown) {
  const mig = word(valueAt(gpu, "mig_mode", "current_mig"));
  return {
    throttleReasons: throttleReasons(gpu),
    migEnabled: mig === undefined ? undefined : mig === "Enabled",
    eccCorrected: eccErrors(gpu, "correctable", "single_bit"),
    eccUncorrected: eccErrors(gpu, "uncorrectable", "double_bit"),
  };
}

function throttleReasons(gpu: unknown): ThrottleReasons | undefined {
  const reasons = valueAt(gpu, "clocks_event_reasons") ?? valueAt(gpu, "clocks_throttle_reasons");
  if (typeof reasons !== "object" || reasons === null) return undefined;
  return Object.entries(reasons).flatMap(([element, state]) => {
    const reason = THROTTLE_ELEMENTS[element.replace(/^clocks_(event|throttle)_reason_/, "")];
    return reason !== undefined && state === "Active" ? [reason] : [];
  });
}

/** Since the driver was loaded: all memories together, or as drivers before 450 have it. */
function eccErrors(gpu: unknown, kind: string, older: string): number | undefined {
  const counts = valueAt(gpu, "ecc_errors", "volatile");
  if (typeof counts !== "object" || counts === null) return undefined;
  const old = count(valueAt(counts, older, "total"));
  if (old !== undefined) return old;
  // `sram_uncorrectable` is `sram_uncorrectable_parity` and `_secded` in newer ones.
  const found = Object.entries(counts)
    .filter(([element]) => new RegExp(`^[sd]ram_${kind}`).test(element))
    .flatMap(([, value]) => count(value) ?? []);
  return found.length === 0 ? undefined : found.reduce((sum, one) => sum + one, 0);
}

/** Of compute processes, as NVML lists them. */
function processesOf(gpu: unknown): GpuReading["processes"] {
  const processes = valueAt(gpu, "processes");
  // An empty element is an empty text.
  if (processes === undefined || processes === "N/A") return undefined;
  return [valueAt(processes, "process_info") ?? []].flat().flatMap((one) => {
    const pid = count(valueAt(one, "pid"));
    if (pid === undefined || !String(valueAt(one, "type")).includes("C")) return [];
    return [{ pid, memoryBytes: quantity(valueAt(one, "used_memory")) }];
  });
}

const gpusOf = (document: unknown): unknown[] => [valueAt(document, "nvidia_smi_log", "gpu") ?? []].flat();

/** The value at a path of nested objects, or undefined where the path breaks off. */
function valueAt(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (node, key) => (typeof node === "object" && node !== null ? (node as Record<string, unknown>)[key] : undefined),
    value,
  );
}

/** "1234 MiB" as a number of the base unit; "N/A", "[Unknown Error]" and absence as undefined. */
function quantity(value: unknown): number | undefined {
  const [, digits, unit] = /^(\d+(?:\.\d+)?) (\S+)$/.exec(String(value)) ?? [];
  const factor = UNIT_FACTORS[unit ?? ""];
  return digits === undefined || factor === undefined ? undefined : Number(digits) * factor;
}

const count = (value: unknown): number | undefined => (/^\d+$/.test(String(value)) ? Number(value) : undefined);

const word = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" && value !== "N/A" ? value : undefined;
