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
  /** Where, the value of each byte, how many, stream. */
  cuMemsetD8Async: ["address", "uchar", "size", "*Stream"],
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

/**
 * `CUDA_MEMCPY2D` of 64-bit platforms, as slots of eight bytes: `height` rows of `width` bytes, each `…Pitch` bytes after the
 * one before. What is not named here stays zero for copies within a device.
 */
export const COPY_2D = {
  slots: 16,
  srcMemoryType: 2,
  srcDevice: 4,
  srcPitch: 6,
  dstMemoryType: 9,
  dstDevice: 11,
  dstPitch: 13,
  width: 14,
  height: 15,
} as const;

interface CudaTypes {
  readonly int: number;
  readonly uint: number;
  readonly uchar: number;
  readonly size: number;
  readonly address: bigint;
  readonly host: ArrayBufferView;
  readonly copy2D: BigUint64Array;
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

const KOFFI: Readonly<Record<keyof CudaTypes, string>> = {
  int: "int",
  uint: "unsigned int",
  uchar: "unsigned char",
  size: "size_t",
  address: "uint64_t",
  host: "void *",
  copy2D: "void *",
  "out int": "_Out_ int *",
  "out size": "_Out_ size_t *",
  "out address": "_Out_ uint64_t *",
  "out str": "_Out_ str *",
};

/** The C type of an argument, in koffi's words. */
export function cudaType(argument: ArgumentKind): string {
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
export const DEVICE_MEMORY = 2n;
