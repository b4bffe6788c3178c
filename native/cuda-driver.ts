/**
 * CUDA's own numbering of devices, from the driver's library: `CUDA_VISIBLE_DEVICES` and `CUDA_DEVICE_ORDER` are in it.
 * Source: CUDA Driver API (https://docs.nvidia.com/cuda/cuda-driver-api/), device management. No context is created.
 */
import { koffi, type LibraryHandle } from "./koffi.js";

const LIBRARY = "libcuda.so.1";
const UUID_BYTES = 16;

/** For ever: koffi unloads a library whose handle was collected, and this one has threads of its own once it has started. */
const held: LibraryHandle[] = [];

/** The UUID, in lower-case hex with dashes and without a prefix, of CUDA's n-th device; undefined where there is none. */
export function cudaDeviceUuid(index: number, library: string = LIBRARY): string | undefined {
  let handle: LibraryHandle;
  try {
    handle = koffi.load(library);
  } catch {
    return undefined;
  }
  held.push(handle);
  const call = (name: string, args: Parameters<LibraryHandle["func"]>[3]) =>
    handle.func(name, "int", args) as (...values: unknown[]) => number;
  const device = [0];
  const uuid = Buffer.alloc(UUID_BYTES);
  const found =
    call("cuInit", ["uint32_t"])(0) === 0 &&
    call("cuDeviceGet", [koffi.out(koffi.pointer("int")), "int"])(device, index) === 0 &&
    call("cuDeviceGetUuid_v2", ["uint8_t *", "int"])(uuid, device[0]) === 0;
  if (!found) return undefined;
  return uuid.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
