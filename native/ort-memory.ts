import type { CudaStream } from "./cuda-stream.js";
import { NativeObject, POINTER } from "./native-object.js";
import { DEFAULT_MEMORY, DEVICE_ALLOCATOR, type OrtApi, type Out, type Pointer } from "./ort-api.js";
import { NATIVE, type OrtEnvironment } from "./ort-environment.js";
import { check, stored } from "./ort-library.js";

/** Allocates a tensor's memory in this process. */
export const ALLOCATOR: unique symbol = Symbol("allocator");

/** A place where tensors live. */
export class OrtMemory extends NativeObject<"MemoryInfo"> {
  readonly [NATIVE]: OrtApi;
  readonly [ALLOCATOR]: Pointer<"Allocator">;

  private constructor(
    { [NATIVE]: { api, allocator } }: OrtEnvironment,
    info: Pointer<"MemoryInfo">,
    /** In which memory of a device is used; undefined for the CPU's. */
    readonly stream?: CudaStream,
  ) {
    super("memory", info, () => api.ReleaseMemoryInfo(info), stream === undefined ? [] : [stream]);
    this[NATIVE] = api;
    this[ALLOCATOR] = allocator;
  }

  static cpu(environment: OrtEnvironment): OrtMemory {
    return new OrtMemory(environment, createInfo(environment, "Cpu", 0));
  }

  /**
   * Memory of the stream's device, from the driver: a tensor's goes back when the tensor does. Runs that use it are of
   * sessions that were created with the stream.
   */
  static cuda(environment: OrtEnvironment, stream: CudaStream): OrtMemory {
    stream[POINTER]();
    return new OrtMemory(environment, createInfo(environment, "Cuda", stream.device), stream);
  }

  get device(): "cpu" | "cuda" {
    return this.stream === undefined ? "cpu" : "cuda";
  }
}

function createInfo({ [NATIVE]: { api } }: OrtEnvironment, name: string, deviceId: number): Pointer<"MemoryInfo"> {
  const info: Out<Pointer<"MemoryInfo">> = [null];
  check(api, api.CreateMemoryInfo(name, DEVICE_ALLOCATOR, deviceId, DEFAULT_MEMORY, info), `describe ${name} memory`);
  return stored(info);
}
