/**
 * Which of the machine's GPUs CUDA's n-th device is. NVML and nvidia-smi list all of them by PCI address; CUDA lists what
 * `CUDA_VISIBLE_DEVICES` leaves, the fastest first unless `CUDA_DEVICE_ORDER=PCI_BUS_ID`.
 * Source: CUDA C++ Programming Guide, "CUDA Environment Variables".
 */

/** A GPU as NVML or nvidia-smi lists it, in their order. */
export interface ListedGpu {
  readonly uuid: string | undefined;
  readonly name: string | undefined;
}

export interface CudaEnvironment {
  readonly CUDA_VISIBLE_DEVICES?: string | undefined;
  readonly CUDA_DEVICE_ORDER?: string | undefined;
}

/**
 * An index of `gpus`, or the full UUID of a MIG slice, which is on no list. Undefined where CUDA has no such device, or
 * where the order is in doubt and CUDA cannot be asked: no reading is better than another GPU's.
 * @param cudaUuid CUDA's own answer, without prefix; asked only where GPUs of different models leave no other way
 */
export function visibleDevice(
  deviceId: number,
  gpus: readonly ListedGpu[],
  environment: CudaEnvironment,
  cudaUuid: (deviceId: number) => string | undefined,
): number | string | undefined {
  const entry = entryOf(deviceId, environment.CUDA_VISIBLE_DEVICES);
  if (entry === undefined) return undefined;
  if (entry.startsWith("MIG-")) return entry;
  // A beginning that only one GPU has is enough for CUDA.
  if (entry.startsWith("GPU-")) return only(gpus.flatMap(({ uuid }, i) => (uuid?.startsWith(entry) ? [i] : [])));
  const index = Number(entry);
  const alike = new Set(gpus.map(({ name }) => name)).size <= 1;
  if (alike || environment.CUDA_DEVICE_ORDER === "PCI_BUS_ID") return index < gpus.length ? index : undefined;
  const uuid = cudaUuid(deviceId);
  return uuid === undefined ? undefined : only(gpus.flatMap((gpu, i) => (gpu.uuid === `GPU-${uuid}` ? [i] : [])));
}

/** What `CUDA_VISIBLE_DEVICES` says of the n-th device; without the variable, its number. */
function entryOf(deviceId: number, visibleDevices: string | undefined): string | undefined {
  if (visibleDevices === undefined) return String(deviceId);
  const names = visibleDevices.split(",").map((name) => name.trim());
  // CUDA sees only the devices before the first invalid entry.
  const end = names.findIndex((name) => !/^(\d+|(GPU|MIG)-[\w/-]+)$/.test(name));
  return names.slice(0, end === -1 ? names.length : end)[deviceId];
}

const only = (found: readonly number[]): number | undefined => (found.length === 1 ? found[0] : undefined);
