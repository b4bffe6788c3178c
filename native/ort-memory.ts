import { NativeObject, POINTER } from "./native-object.js";
import { DEFAULT_MEMORY, DEVICE_ALLOCATOR, type OrtApi, type Out, type Pointer } from "./ort-api.js";
import { NATIVE, type OrtEnvironment } from "./ort-environment.js";
import { check, stored } from "./ort-library.js";
import type { OrtSession } from "./ort-session.js";

/** Allocates a tensor's memory. */
export const ALLOCATOR: unique symbol = Symbol("allocator");

interface MemoryParts {
  readonly api: OrtApi;
  readonly info: Pointer<"MemoryInfo">;
  readonly allocator: Pointer<"Allocator">;
  readonly free: () => void;
  readonly session?: OrtSession;
}

/** A place where tensors live. */
export class OrtMemory extends NativeObject<"MemoryInfo"> {
  readonly [NATIVE]: OrtApi;
  readonly [ALLOCATOR]: Pointer<"Allocator">;

  private constructor(
    readonly device: "cpu" | "cuda",
    { api, info, allocator, free, session }: MemoryParts,
  ) {
    super("memory", info, free, session === undefined ? [] : [session]);
    this[NATIVE] = api;
    this[ALLOCATOR] = allocator;
  }

  static cpu(environment: OrtEnvironment): OrtMemory {
    const { api, allocator } = environment[NATIVE];
    const info = createInfo(api, "Cpu", 0);
    return new OrtMemory("cpu", { api, info, allocator, free: () => api.ReleaseMemoryInfo(info) });
  }

  /** Memory of the device that a session with the CUDA provider runs on, from the session's own arena. */
  static cuda(session: OrtSession, deviceId: number): OrtMemory {
    const api = session[NATIVE];
    const info = createInfo(api, "Cuda", deviceId);
    const allocator: Out<Pointer<"Allocator">> = [null];
    const status = api.CreateAllocator(session[POINTER](), info, allocator);
    if (status !== null) api.ReleaseMemoryInfo(info);
    check(api, status, `allocate on CUDA device ${deviceId}`);
    const free = (): void => {
      api.ReleaseAllocator(stored(allocator));
      api.ReleaseMemoryInfo(info);
    };
    return new OrtMemory("cuda", { api, info, allocator: stored(allocator), free, session });
  }
}

function createInfo(api: OrtApi, name: string, deviceId: number): Pointer<"MemoryInfo"> {
  const info: Out<Pointer<"MemoryInfo">> = [null];
  check(api, api.CreateMemoryInfo(name, DEVICE_ALLOCATOR, deviceId, DEFAULT_MEMORY, info), `describe ${name} memory`);
  return stored(info);
}
