import { CUDA_API, type CudaApi, cudaType, INVALID_DEVICE, INVALID_VALUE, OUT_OF_MEMORY, SUCCESS } from "./cuda-api.js";
import { koffi, type LibraryHandle } from "./koffi.js";
import { NativeError, type NativeErrorCode } from "./native-error.js";
import type { Out } from "./ort-api.js";

const LIBRARY = process.platform === "win32" ? "nvcuda.dll" : "libcuda.so.1";
const UUID_BYTES = 16;

/** By path, for ever: koffi unloads a library whose handle was collected, and this one has threads of its own once it has started. */
const loaded = new Map<string, { readonly handle: LibraryHandle; readonly api: CudaApi }>();

/** Loads the driver's library and starts CUDA. Throws NativeError `library` where there is none, `failed` where CUDA does not start. */
export function startCuda(library: string = LIBRARY): CudaApi {
  const { api } = loaded.get(library) ?? load(library);
  checkCuda(api, api.cuInit(0), "start");
  return api;
}

function load(library: string): { readonly handle: LibraryHandle; readonly api: CudaApi } {
  try {
    const handle = koffi.load(library);
    const calls = Object.entries(CUDA_API).map(([name, args]) => [name, handle.func(name, "int", args.map(cudaType))]);
    const entry = { handle, api: Object.freeze(Object.fromEntries(calls)) as CudaApi };
    loaded.set(library, entry);
    return entry;
  } catch (cause) {
    const why = (cause as Error).message;
    throw new NativeError("library", `${library} cannot be used; install or update NVIDIA's driver: ${why}`, { cause });
  }
}

const CODES: Readonly<Record<number, NativeErrorCode>> = {
  [INVALID_VALUE]: "invalid_argument",
  [OUT_OF_MEMORY]: "out_of_memory",
  [INVALID_DEVICE]: "invalid_argument",
};

/** Throws what a result tells. `doing` begins the message: "copy memory"; `more` ends it. */
export function checkCuda(api: CudaApi, result: number, doing: string, more = ""): void {
  if (result !== SUCCESS) throw cudaError(api, result, CODES[result] ?? "failed", doing, more);
}

/**
 * Throws what a result of queueing or of waiting tells: `out_of_memory`, or `device_lost`. The driver reports there what
 * failed on the device meanwhile, and from then on reports it for every call of the process.
 */
export function checkQueued(api: CudaApi, result: number, doing: string): void {
  const code = result === OUT_OF_MEMORY ? "out_of_memory" : "device_lost";
  if (result !== SUCCESS) throw cudaError(api, result, code, doing);
}

function cudaError(api: CudaApi, result: number, code: NativeErrorCode, doing: string, more = ""): NativeError {
  const [name, description]: [Out<string>, Out<string>] = [[null], [null]];
  api.cuGetErrorName(result, name);
  api.cuGetErrorString(result, description);
  const what = `${name[0] ?? `error ${result}`} (${description[0] ?? "unknown"})`;
  return new NativeError(code, `CUDA could not ${doing}: ${what}${more}.`);
}

/**
 * CUDA's own numbering of devices, in which `CUDA_VISIBLE_DEVICES` and `CUDA_DEVICE_ORDER` are: the UUID of its n-th
 * device, in lower-case hex with dashes and without a prefix; undefined where there is none. No context is created.
 */
export function cudaDeviceUuid(index: number, library?: string): string | undefined {
  let api: CudaApi;
  try {
    api = startCuda(library);
  } catch {
    return undefined;
  }
  const device: Out<number> = [null];
  if (api.cuDeviceGet(device, index) !== SUCCESS || device[0] === null) return undefined;
  const uuid = Buffer.alloc(UUID_BYTES);
  if (api.cuDeviceGetUuid_v2(uuid, device[0]) !== SUCCESS) return undefined;
  return uuid.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
