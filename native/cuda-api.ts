/**
 * The whole surface of the CUDA driver that is used: one row a function of `cuda.h`, by the name that the library exports.
 * Source: CUDA Driver API (https://docs.nvidia.com/cuda/cuda-driver-api/). Every function returns a `CUresult`.
 *
 * Notation of arguments; `CudaTypes` gives the TypeScript type of each and `KOFFI` the C type:
 *   `address`       `CUdeviceptr`: a whole number of 64 bits, never a pointer of this process
 *   `host`          memory of this process that a copy reads or writes, perhaps only after the call has returned
 *   `*Stream`       a pointer to that kind of object
 *   `out *Stream`   where the function stores such a pointer: a one-element array
 */
import { koffi } from "./koffi.js";
import type { Out, Pointer } from "./ort-api.js";

export const CUDA_API = {
  cuInit: ["uint"],
  cuDeviceGet: ["out int", "int"],
  cuDeviceGetUuid_v2: ["host", "int"],
  /** The context that CUDA's runtime, and so ONNX Runtime, uses on the device. */
  cuDevicePrimaryCtxRetain: ["out *Context", "int"],
  cuDevicePrimaryCtxRelease_v2: ["int"],
  /** Of the calling thread. */
  cuCtxSetCurrent: ["*Context"],
  cuMemGetInfo_v2: ["out size", "out size"],
  cuMemAlloc_v2: ["out address", "size"],
  cuMemFree_v2: ["address"],
  cuStreamCreate: ["out *Stream", "uint"],
  cuStreamSynchronize: ["*Stream"],
  cuStreamDestroy_v2: ["*Stream"],
  /** Target, source, bytes, stream; in the next two likewise. */
  cuMemcpyHtoDAsync_v2: ["address", "host", "size", "*Stream"],
  cuMemcpyDtoHAsync_v2: ["host", "address", "size", "*Stream"],
  cuMemcpyDtoDAsync_v2: ["address", "address", "size", "*Stream"],
  cuMemcpy2DAsync_v2: ["copy2D", "*Stream"],
  cuGetErrorName: ["int", "out str"],
  cuGetErrorString: ["int", "out str"],
} as const satisfies Record<string, readonly ArgumentKind[]>;

/** `CUDA_MEMCPY2D`: rows of `WidthInBytes`, each `…Pitch` bytes after the one before. */
export interface Copy2D {
  readonly srcXInBytes: number;
  readonly srcY: number;
  readonly srcMemoryType: number;
  readonly srcHost: null;
  readonly srcDevice: bigint;
  readonly srcArray: null;
  readonly srcPitch: number;
  readonly dstXInBytes: number;
  readonly dstY: number;
  readonly dstMemoryType: number;
  readonly dstHost: null;
  readonly dstDevice: bigint;
  readonly dstArray: null;
  readonly dstPitch: number;
  readonly WidthInBytes: number;
  readonly Height: number;
}

interface CudaTypes {
  readonly int: number;
  readonly uint: number;
  readonly size: number;
  readonly address: bigint;
  readonly host: ArrayBufferView;
  readonly copy2D: Copy2D;
  readonly "out int": Out<number>;
  readonly "out size": Out<number>;
  /** As small as fits: a number or a bigint. */
  readonly "out address": Out<number | bigint>;
  readonly "out str": Out<string>;
}

type ArgumentKind = keyof CudaTypes | `*${string}` | `out *${string}`;

type CudaType<K extends string> = K extends keyof CudaTypes
  ? CudaTypes[K]
  : K extends `out *${infer Kind}`
    ? Out<Pointer<Kind>>
    : K extends `*${infer Kind}`
      ? Pointer<Kind>
      : never;

type Arguments<Kinds extends readonly string[]> = { -readonly [I in keyof Kinds]: CudaType<Kinds[I]> };

export type CudaFunction = keyof typeof CUDA_API;

/** The functions of a loaded library. */
export type CudaApi = {
  readonly [Name in CudaFunction]: (...args: Arguments<(typeof CUDA_API)[Name]>) => number;
};

const copy2D = koffi.struct({
  srcXInBytes: "size_t",
  srcY: "size_t",
  srcMemoryType: "uint32_t",
  srcHost: "void *",
  srcDevice: "uint64_t",
  srcArray: "void *",
  srcPitch: "size_t",
  dstXInBytes: "size_t",
  dstY: "size_t",
  dstMemoryType: "uint32_t",
  dstHost: "void *",
  dstDevice: "uint64_t",
  dstArray: "void *",
  dstPitch: "size_t",
  WidthInBytes: "size_t",
  Height: "size_t",
} satisfies Record<keyof Copy2D, string>);

type KoffiType = string | typeof copy2D;

const KOFFI: Readonly<Record<keyof CudaTypes, KoffiType>> = {
  int: "int",
  uint: "unsigned int",
  size: "size_t",
  address: "uint64_t",
  host: "void *",
  copy2D: koffi.pointer(copy2D),
  "out int": "_Out_ int *",
  "out size": "_Out_ size_t *",
  "out address": "_Out_ uint64_t *",
  "out str": "_Out_ str *",
};

/** The C type of an argument, in koffi's words. */
export function cudaType(argument: ArgumentKind): KoffiType {
  if (argument.startsWith("out *")) return "_Out_ void **";
  if (argument.startsWith("*")) return "void *";
  return KOFFI[argument as keyof CudaTypes];
}

/** `CUDA_SUCCESS`. */
export const SUCCESS = 0;
/** `CUDA_ERROR_INVALID_VALUE`. */
export const INVALID_VALUE = 1;
/** `CUDA_ERROR_OUT_OF_MEMORY`. */
export const OUT_OF_MEMORY = 2;
/** `CUDA_ERROR_INVALID_DEVICE`. */
export const INVALID_DEVICE = 101;
/** `CU_STREAM_NON_BLOCKING`: does not wait for the default stream, nor that one for it. */
export const NON_BLOCKING = 1;
/** `CU_MEMORYTYPE_DEVICE`. */
export const DEVICE_MEMORY = 2;
