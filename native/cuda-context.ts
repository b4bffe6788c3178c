import type { CudaApi } from "./cuda-api.js";
import { checkCuda, startCuda } from "./cuda-driver.js";
import { NativeObject } from "./native-object.js";
import type { Out, Pointer } from "./ort-api.js";
import { stored } from "./ort-library.js";

/** Makes a context the calling thread's own, and gives the functions to call in it. For `native/` alone. */
export const ENTER: unique symbol = Symbol("enter");

/** Bytes of a device's memory. */
export interface DeviceRoom {
  readonly free: number;
  readonly total: number;
}

/**
 * A device's primary context, the one that CUDA's runtime and so ONNX Runtime uses there: memory and streams of one are
 * the other's, too. Streams keep it, so what they need of it works after `dispose`.
 */
export class CudaContext extends NativeObject<"Context"> {
  readonly #api: CudaApi;
  readonly #pointer: Pointer<"Context">;

  private constructor(
    api: CudaApi,
    pointer: Pointer<"Context">,
    device: number,
    /** The device's number in CUDA's own order, as in ONNX Runtime's `device_id`. */
    readonly ordinal: number,
  ) {
    // What a release reports, a call before it has reported.
    super("CUDA context", pointer, () => void api.cuDevicePrimaryCtxRelease_v2(device));
    this.#api = api;
    this.#pointer = pointer;
  }

  /** Throws NativeError `library` without a driver, `invalid_argument` for a device that is not there, or `failed`. */
  static open(ordinal: number, library?: string): CudaContext {
    const api = startCuda(library);
    const device: Out<number> = [null];
    checkCuda(api, api.cuDeviceGet(device, ordinal), `find device ${ordinal}`);
    const pointer: Out<Pointer<"Context">> = [null];
    checkCuda(api, api.cuDevicePrimaryCtxRetain(pointer, stored(device)), `use device ${ordinal}`);
    return new CudaContext(api, stored(pointer), stored(device), ordinal);
  }

  /** Bytes of the device's memory that nobody holds, and that there are. */
  get memory(): DeviceRoom {
    const api = this[ENTER]();
    const [free, total]: [Out<number>, Out<number>] = [[null], [null]];
    checkCuda(api, api.cuMemGetInfo_v2(free, total), `tell the memory of device ${this.ordinal}`);
    return { free: stored(free), total: stored(total) };
  }

  [ENTER](): CudaApi {
    checkCuda(this.#api, this.#api.cuCtxSetCurrent(this.#pointer), `enter device ${this.ordinal}`);
    return this.#api;
  }
}
