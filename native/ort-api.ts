/**
 * The whole native surface of ONNX Runtime that is used: one row a function of `struct OrtApi`
 * (onnxruntime_c_api.h). The table is append-only, so an index holds for every later version.
 *
 * Notation of arguments and results; `NativeTypes` gives the TypeScript type of each and `KOFFI` the C type:
 *   `*Session`      a pointer to that kind of object, `?*Session` one that may be NULL
 *   `out *Session`  where the function stores such a pointer: a one-element array
 *   `status`        NULL, or an OrtStatus that tells the error and must be released
 */
import type { NativeError } from "./native-error.js";

declare const kind: unique symbol;

/** An address of one kind of native object. Only `native/` holds these. */
export type Pointer<Kind extends string = string> = bigint & { readonly [kind]: Kind };

/** Receives one value from a function that answers through an argument. */
export type Out<T> = [T | null];

export const ORT_API = {
  GetErrorCode: { index: 1, returns: "int", args: ["*Status"] },
  GetErrorMessage: { index: 2, returns: "str", args: ["*Status"] },
  CreateEnv: { index: 3, returns: "status", args: ["int", "str", "out *Env"] },
  CreateSession: { index: 7, returns: "status", args: ["*Env", "path", "*SessionOptions", "out *Session"] },
  CreateSessionFromArray: {
    index: 8,
    returns: "status",
    args: ["*Env", "bytes", "size", "*SessionOptions", "out *Session"],
  },
  CreateSessionOptions: { index: 10, returns: "status", args: ["out *SessionOptions"] },
  SetSessionExecutionMode: { index: 13, returns: "status", args: ["*SessionOptions", "int"] },
  DisableMemPattern: { index: 17, returns: "status", args: ["*SessionOptions"] },
  SetSessionLogSeverityLevel: { index: 22, returns: "status", args: ["*SessionOptions", "int"] },
  SetSessionGraphOptimizationLevel: { index: 23, returns: "status", args: ["*SessionOptions", "int"] },
  SetIntraOpNumThreads: { index: 24, returns: "status", args: ["*SessionOptions", "int"] },
  SetInterOpNumThreads: { index: 25, returns: "status", args: ["*SessionOptions", "int"] },
  SessionGetInputCount: { index: 30, returns: "status", args: ["*Session", "out size"] },
  SessionGetOutputCount: { index: 31, returns: "status", args: ["*Session", "out size"] },
  SessionGetInputTypeInfo: { index: 33, returns: "status", args: ["*Session", "size", "out *TypeInfo"] },
  SessionGetOutputTypeInfo: { index: 34, returns: "status", args: ["*Session", "size", "out *TypeInfo"] },
  SessionGetInputName: { index: 36, returns: "status", args: ["*Session", "size", "*Allocator", "out *Text"] },
  SessionGetOutputName: { index: 37, returns: "status", args: ["*Session", "size", "*Allocator", "out *Text"] },
  CreateRunOptions: { index: 39, returns: "status", args: ["out *RunOptions"] },
  RunOptionsSetTerminate: { index: 46, returns: "status", args: ["*RunOptions"] },
  RunOptionsUnsetTerminate: { index: 47, returns: "status", args: ["*RunOptions"] },
  CreateTensorAsOrtValue: { index: 48, returns: "status", args: ["*Allocator", "dims", "size", "int", "out *Value"] },
  CreateTensorWithDataAsOrtValue: {
    index: 49,
    returns: "status",
    args: ["*MemoryInfo", "*Data", "size", "dims", "size", "int", "out *Value"],
  },
  GetTensorMutableData: { index: 51, returns: "status", args: ["*Value", "out *Data"] },
  /** The result belongs to the type information it was cast from. */
  CastTypeInfoToTensorInfo: { index: 55, returns: "status", args: ["*TypeInfo", "out *TensorInfo"] },
  GetTensorElementType: { index: 60, returns: "status", args: ["*TensorInfo", "out int"] },
  GetDimensionsCount: { index: 61, returns: "status", args: ["*TensorInfo", "out size"] },
  GetDimensions: { index: 62, returns: "status", args: ["*TensorInfo", "out dims", "size"] },
  /** The texts belong to the tensor information. */
  GetSymbolicDimensions: { index: 63, returns: "status", args: ["*TensorInfo", "out strs", "size"] },
  GetTensorTypeAndShape: { index: 65, returns: "status", args: ["*Value", "out *TensorInfo"] },
  CreateMemoryInfo: { index: 68, returns: "status", args: ["str", "int", "int", "int", "out *MemoryInfo"] },
  AllocatorFree: { index: 76, returns: "status", args: ["*Allocator", "*Text"] },
  /** The allocator belongs to the library: never released. */
  GetAllocatorWithDefaultOptions: { index: 78, returns: "status", args: ["out *Allocator"] },
  ReleaseEnv: { index: 92, returns: "void", args: ["*Env"] },
  ReleaseStatus: { index: 93, returns: "void", args: ["*Status"] },
  ReleaseMemoryInfo: { index: 94, returns: "void", args: ["*MemoryInfo"] },
  ReleaseSession: { index: 95, returns: "void", args: ["*Session"] },
  ReleaseValue: { index: 96, returns: "void", args: ["*Value"] },
  ReleaseRunOptions: { index: 97, returns: "void", args: ["*RunOptions"] },
  ReleaseTypeInfo: { index: 98, returns: "void", args: ["*TypeInfo"] },
  ReleaseTensorTypeAndShapeInfo: { index: 99, returns: "void", args: ["*TensorInfo"] },
  ReleaseSessionOptions: { index: 100, returns: "void", args: ["*SessionOptions"] },
  GetAvailableProviders: { index: 125, returns: "status", args: ["out *Texts", "out int"] },
  ReleaseAvailableProviders: { index: 126, returns: "status", args: ["*Texts", "int"] },
  AddSessionConfigEntry: { index: 130, returns: "status", args: ["*SessionOptions", "str", "str"] },
  RunWithBinding: { index: 133, returns: "status", args: ["*Session", "?*RunOptions", "*Binding"] },
  CreateIoBinding: { index: 134, returns: "status", args: ["*Session", "out *Binding"] },
  ReleaseIoBinding: { index: 135, returns: "void", args: ["*Binding"] },
  BindInput: { index: 136, returns: "status", args: ["*Binding", "str", "*Value"] },
  BindOutput: { index: 137, returns: "status", args: ["*Binding", "str", "*Value"] },
  BindOutputToDevice: { index: 138, returns: "status", args: ["*Binding", "str", "*MemoryInfo"] },
  /** The array of values is the allocator's, to be freed; each value in it is the caller's, to be released. */
  GetBoundOutputValues: { index: 140, returns: "status", args: ["*Binding", "*Allocator", "out *Text", "out size"] },
  /** Keys: onnxruntime_run_options_config_keys.h. */
  AddRunConfigEntry: { index: 165, returns: "status", args: ["*RunOptions", "str", "str"] },
  SessionOptionsAppendExecutionProvider_CUDA_V2: {
    index: 204,
    returns: "status",
    args: ["*SessionOptions", "*CudaOptions"],
  },
  CreateCUDAProviderOptions: { index: 205, returns: "status", args: ["out *CudaOptions"] },
  UpdateCUDAProviderOptions: { index: 206, returns: "status", args: ["*CudaOptions", "strs", "strs", "size"] },
  /** `key=value`, separated by semicolons. */
  GetCUDAProviderOptionsAsString: {
    index: 207,
    returns: "status",
    args: ["*CudaOptions", "*Allocator", "out *Text"],
  },
  ReleaseCUDAProviderOptions: { index: 208, returns: "void", args: ["*CudaOptions"] },
  MemoryInfoGetDeviceType: { index: 225, returns: "void", args: ["*MemoryInfo", "out int"] },
  GetBuildInfoString: { index: 254, returns: "str", args: [] },
  /** One address of an OrtMemoryInfo for each input; they belong to the session. */
  SessionGetMemoryInfoForInputs: { index: 380, returns: "status", args: ["*Session", "out addresses", "size"] },
} as const satisfies Record<string, ApiRow>;

/** The oldest version of the table that has every row above: what is asked of `OrtApiBase.GetApi`. */
export const ORT_API_VERSION = 23;

interface ApiRow {
  readonly index: number;
  readonly returns: "status" | "void" | "int" | "str";
  readonly args: readonly ArgumentKind[];
}

interface NativeTypes {
  readonly void: undefined;
  readonly status: Pointer<"Status"> | null;
  readonly int: number;
  readonly size: number;
  readonly str: string;
  /** A file's path in the platform's own encoding. */
  readonly path: string;
  readonly strs: readonly string[];
  readonly dims: BigInt64Array;
  readonly bytes: Uint8Array;
  readonly "out int": Out<number>;
  readonly "out size": Out<number>;
  readonly "out dims": BigInt64Array;
  readonly "out strs": (string | null)[];
  readonly "out addresses": BigUint64Array;
}

type ArgumentKind = keyof NativeTypes | `*${string}` | `?*${string}` | `out *${string}`;

type NativeType<K extends string> = K extends keyof NativeTypes
  ? NativeTypes[K]
  : K extends `out *${infer Kind}`
    ? Out<Pointer<Kind>>
    : K extends `?*${infer Kind}`
      ? Pointer<Kind> | null
      : K extends `*${infer Kind}`
        ? Pointer<Kind>
        : never;

type Arguments<Kinds extends readonly string[]> = { -readonly [I in keyof Kinds]: NativeType<Kinds[I]> };

/** A native function; `async` runs it on a thread of koffi's pool and calls back on the event loop. */
export interface NativeFunction<Args extends unknown[], Result> {
  (...args: Args): Result;
  async(...args: [...Args, (error: Error | null, result: Result) => void]): void;
}

/** `struct OrtApi`, as far as the table above goes. */
export type OrtApi = {
  readonly [Name in keyof typeof ORT_API]: NativeFunction<
    Arguments<(typeof ORT_API)[Name]["args"]>,
    NativeType<(typeof ORT_API)[Name]["returns"]>
  >;
};

const KOFFI: Readonly<Record<keyof NativeTypes, string>> = {
  void: "void",
  status: "void *",
  int: "int",
  size: "size_t",
  str: "str",
  path: process.platform === "win32" ? "str16" : "str",
  strs: "str *",
  dims: "int64_t *",
  bytes: "void *",
  "out int": "_Out_ int *",
  "out size": "_Out_ size_t *",
  "out dims": "_Out_ int64_t *",
  "out strs": "_Out_ str *",
  "out addresses": "uint64_t *",
};

/** The C type of an argument or result, in koffi's words. */
export function koffiType(argument: ArgumentKind): string {
  if (argument.startsWith("out *")) return "_Out_ void **";
  if (argument.startsWith("*") || argument.startsWith("?*")) return "void *";
  return KOFFI[argument as keyof NativeTypes];
}

/** `OrtErrorCode` to the code of a {@link NativeError}; what is not listed is `failed`. */
export const ERROR_CODES: Readonly<Record<number, NativeError["code"]>> = {
  2: "invalid_argument",
  3: "no_such_file",
  4: "invalid_graph",
  7: "invalid_graph",
  9: "not_implemented",
  10: "invalid_graph",
};

/** `ONNXTensorElementDataType`, under the names onnxruntime-common has for them; it has none for bfloat16. */
export const ELEMENT_TYPES = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  bfloat16: 16,
} as const;

export type ElementType = keyof typeof ELEMENT_TYPES;

/** `OrtLoggingLevel`: ORT_LOGGING_LEVEL_FATAL. Errors come as a status; on stderr they would only be printed twice. */
export const LOG_FATAL = 4;
/** `ExecutionMode`: ORT_SEQUENTIAL. */
export const EXECUTE_SEQUENTIALLY = 0;
/** `GraphOptimizationLevel`: ORT_ENABLE_ALL. */
export const OPTIMIZE_ALL = 99;
/** `OrtAllocatorType`: OrtDeviceAllocator. */
export const DEVICE_ALLOCATOR = 0;
/** `OrtMemoryInfoDeviceType`: OrtMemoryInfoDeviceType_CPU. */
export const CPU_DEVICE = 0;
/** `OrtMemType`: OrtMemTypeDefault. */
export const DEFAULT_MEMORY = 0;
