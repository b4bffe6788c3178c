/** The slow way to read a GPU: `nvidia-smi -q -x`, a process and an XML document for every sample. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { GpuSample, GpuSampler } from "./sample.js";

const PERIOD_MS = 5000;
const UNIT_FACTORS: Readonly<Record<string, number>> = { "%": 1, W: 1, B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

type ReadDocument = (callback: (error: unknown, document: unknown) => void) => void;

/** Undefined where there is no nvidia-smi command, or it knows no such device. */
export async function openNvidiaSmi(device: number | string): Promise<GpuSampler | undefined> {
  if (!onPath("nvidia-smi")) return undefined;
  // Loaded here: its XML parser is of no use to a process without a GPU.
  const { default: read } = await import("node-nvidia-smi");
  const sampler = nvidiaSmiSampler(read, device, Date.now);
  return (await sampler.sample()) === undefined ? undefined : sampler;
}

/** A sampler over anything that reads documents the way `node-nvidia-smi` does. */
export function nvidiaSmiSampler(read: ReadDocument, device: number | string, now: () => number): GpuSampler {
  let reading: Promise<GpuSample | undefined> | undefined;
  return {
    source: "nvidia-smi",
    periodMs: PERIOD_MS,
    sample() {
      // A hung nvidia-smi must not pile up: whoever asks meanwhile gets the reading that is under way.
      reading ??= new Promise<GpuSample | undefined>((resolve) => {
        read((error, document) => resolve(error ? undefined : sampleOf(document, device, now() * 1000)));
      }).finally(() => {
        reading = undefined;
      });
      return reading;
    },
    close() {},
  };
}

/** What nvidia-smi's document says of one device, by index or UUID; undefined where it lacks a needed reading. */
export function sampleOf(document: unknown, device: number | string, at: number): GpuSample | undefined {
  const gpus = [valueAt(document, "nvidia_smi_log", "gpu") ?? []].flat();
  const gpu = typeof device === "number" ? gpus[device] : gpus.find((one) => valueAt(one, "uuid") === device);
  const utilization = quantity(valueAt(gpu, "utilization", "gpu_util"));
  const memoryUsedBytes = quantity(valueAt(gpu, "fb_memory_usage", "used"));
  if (utilization === undefined || memoryUsedBytes === undefined) return undefined;
  // The element's name depends on the driver: from 2023 on `gpu_power_readings`, with up to three kinds of draw.
  const readings = valueAt(gpu, "gpu_power_readings") ?? valueAt(gpu, "power_readings");
  const draws = ["power_draw", "instant_power_draw", "average_power_draw"].map((name) =>
    quantity(valueAt(readings, name)),
  );
  const powerWatts = draws.find((watts) => watts !== undefined);
  return { at, utilization, memoryUsedBytes, ...(powerWatts === undefined ? {} : { powerWatts }) };
}

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

function onPath(command: string): boolean {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
