import type { ModelRunner } from "../../engine/runner.js";
import type { DeviceChoice, LoadOptions } from "../../protocol.js";
import type { GraphFile } from "../files/graph-file.js";
import { hostMemory } from "./host-memory.js";
import { gpuBudget, hostBudget, type MemoryState, refuseWeights } from "./memory-budget.js";

export interface CacheBudget {
  /** Most bytes of KV cache; absent where `kvMemory` has the last word. */
  readonly kvMemory?: number;
  readonly warnings?: readonly string[];
}

/** Reads a GPU's memory; undefined where nobody tells. */
export type ReadGpuMemory = (deviceId: number | undefined) => Promise<MemoryState | undefined>;

/**
 * What the memory that the runner's KV cache lies in has for it, with the model loaded and warm. Throws `device_unavailable`
 * where that is too little, with the numbers.
 */
export async function cacheBudget(
  runner: Pick<ModelRunner, "device" | "model">,
  options: LoadOptions,
  readGpu: ReadGpuMemory = gpuMemory,
  readHost: () => MemoryState = hostMemory,
): Promise<CacheBudget> {
  const { gpuMemoryUtilization: share, kvMemory, maxSequences } = options;
  const { device, model } = runner;
  const load = { model, device, maxSequences };
  if (device.provider === "cuda" && share !== undefined) {
    const memory = await readGpu(device.deviceId);
    const budget = memory === undefined ? undefined : gpuBudget(memory, share, load);
    if (device.kvCache !== "cpu") return budget === undefined ? {} : { kvMemory: budget };
  }
  if (kvMemory === undefined || device.kvCache === "cuda") return {};
  const { bytes, warning } = hostBudget(readHost(), kvMemory, share === undefined, load);
  return { kvMemory: bytes, ...(warning === undefined ? {} : { warnings: [warning] }) };
}

/** Refuses weights for which there cannot be memory, before they are loaded. Throws as `cacheBudget` does. */
export async function checkWeights(
  { path, weightBytes }: GraphFile,
  { provider, deviceId }: DeviceChoice,
  share: number | undefined,
  readGpu: ReadGpuMemory = gpuMemory,
  readHost: () => MemoryState = hostMemory,
): Promise<void> {
  if (provider === "cpu") refuseWeights(path, weightBytes, readHost());
  else {
    const memory = await readGpu(deviceId);
    if (memory !== undefined) refuseWeights(path, weightBytes, memory, share ?? 1);
  }
}

async function gpuMemory(deviceId: number | undefined): Promise<MemoryState | undefined> {
  const { openGpuSampler } = await import("../../gpu/sampler.js");
  const sampler = await openGpuSampler(deviceId);
  try {
    const { memoryUsedBytes: used, memoryTotalBytes: total } = (await sampler?.read()) ?? {};
    return used === undefined || total === undefined ? undefined : { used, total };
  } finally {
    sampler?.close();
  }
}
