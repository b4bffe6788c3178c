/**
 * CUDA's libraries made on the spot, so that ONNX Runtime's CUDA provider runs on a machine without a GPU: it places operators,
 * allocates, captures and replays, all but that kernels compute nothing. What it does is counted. The driver is `cuda-stub.ts`.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { koffi } from "../../native/koffi.js";
import { compileLibrary } from "./compile-library.js";
import { compileCudaStub } from "./cuda-stub.js";

/** Memory of the device is this process's. Allocating or waiting while a stream is captured is an error, as it is in CUDA. */
const RUNTIME = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
enum { CAPTURING = 900 };
static long launches, captures, replays, allocations;
static int capturing;
long stubCount(const char *what) {
  return !strcmp(what, "launches") ? launches : !strcmp(what, "captures") ? captures : !strcmp(what, "replays") ? replays : allocations;
}
/* A function named in the environment fails, as where a device has been lost. */
static int failure(const char *function) {
  const char *failing = getenv("CUDA_STUB_FAILS");
  return failing && !strcmp(failing, function) ? 999 : 0;
}
/* Compute capability 8.0, by the offsets of struct cudaDeviceProp in CUDA 13. */
int cudaGetDeviceProperties(char *properties, int device) {
  memset(properties, 0, 1008);
  *(size_t *)(properties + 288) = (size_t)80 << 30;
  *(size_t *)(properties + 296) = 49152;
  *(int *)(properties + 304) = 65536;
  *(int *)(properties + 308) = 32;
  *(int *)(properties + 320) = 1024;
  for (int axis = 0; axis < 3; axis++) *(int *)(properties + 324 + 4 * axis) = 1024, *(int *)(properties + 336 + 4 * axis) = 65535;
  *(int *)(properties + 360) = 8;
  *(int *)(properties + 384) = 108;
  return 0;
}
int cudaGetDevice(int *device) { *device = 0; return 0; }
int cudaGetDeviceCount(int *count) { *count = 1; return 0; }
int cudaDriverGetVersion(int *version) { *version = 13000; return 0; }
int cudaRuntimeGetVersion(int *version) { *version = 13000; return 0; }
int cudaDeviceGetAttribute(int *value, int attribute, int device) { *value = attribute == 75 ? 8 : attribute == 76 ? 0 : 1024; return 0; }
int cudaMemGetInfo(size_t *free, size_t *total) { *free = *total = (size_t)80 << 30; return 0; }
int cudaMalloc(void **memory, size_t bytes) {
  if (capturing) return CAPTURING;
  allocations++;
  return *memory = calloc(1, bytes + 256), 0;
}
int cudaFree(void *memory) { free(memory); return 0; }
int cudaMallocHost(void **memory, size_t bytes) { *memory = malloc(bytes + 256); return 0; }
int cudaHostAlloc(void **memory, size_t bytes, unsigned flags) { *memory = malloc(bytes + 256); return 0; }
int cudaFreeHost(void *memory) { free(memory); return 0; }
int cudaMemcpy(void *to, const void *from, size_t bytes, int kind) { memcpy(to, from, bytes); return 0; }
int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int kind, void *stream) { memcpy(to, from, bytes); return 0; }
int cudaMemset(void *memory, int value, size_t bytes) { memset(memory, value, bytes); return 0; }
int cudaMemsetAsync(void *memory, int value, size_t bytes, void *stream) { memset(memory, value, bytes); return 0; }
int cudaStreamSynchronize(void *stream) {
  if (capturing) return CAPTURING;
  int (*synchronize)(void *) = dlsym(RTLD_DEFAULT, "cuStreamSynchronize");
  return stream && synchronize ? synchronize(stream) : 0;
}
int cudaStreamIsCapturing(void *stream, int *status) { *status = capturing; return 0; }
int cudaStreamBeginCapture(void *stream, int mode) { capturing = 1; captures++; return 0; }
int cudaStreamEndCapture(void *stream, void **graph) { capturing = 0; *graph = malloc(8); return 0; }
int cudaGraphInstantiate(void **executable, void *graph, unsigned long long flags) { *executable = malloc(8); return failure(__func__); }
int cudaGraphLaunch(void *executable, void *stream) { replays++; return failure(__func__); }
int cudaLaunchKernel(void) { launches++; return 0; }
int cudaLaunchKernelExC(void) { launches++; return 0; }
int __cudaLaunchKernel(void) { launches++; return 0; }
int __cudaPopCallConfiguration(void *grid, void *block, size_t *shared, void **stream) {
  memset(grid, 0, 12), memset(block, 0, 12), *shared = 0, *stream = NULL;
  return 0;
}
void **__cudaRegisterFatBinary(void *binary) { static void *handle[4]; return handle; }
int __cudaGetKernel(void **kernel, void *function) { *kernel = function; return 0; }
int cudaFuncGetAttributes(void *attributes, void *function) { memset(attributes, 0, 144); return 0; }
int cudaPointerGetAttributes(void *attributes, void *memory) { memset(attributes, 0, 32); return 0; }
const char *cudaGetErrorString(int error) { return "an error of the stub"; }
const char *cudaGetErrorName(int error) { return "cudaErrorOfTheStub"; }
static int made(void **object) { *object = malloc(8); return 0; }
int cudaStreamCreate(void **stream) { return made(stream); }
int cudaStreamCreateWithFlags(void **stream, unsigned flags) { return made(stream); }
int cudaEventCreate(void **event) { return made(event); }
int cudaEventCreateWithFlags(void **event, unsigned flags) { return made(event); }
int cublasCreate_v2(void **handle) { return made(handle); }
int cublasLtCreate(void **handle) { return made(handle); }
`;
const RUNTIME_LIBRARY = "libcudart.so.13";
const EMPTY_LIBRARIES = ["libcublas.so.13", "libcublasLt.so.13", "libcurand.so.10"];

/** Fills the folder with all that the provider is linked to. */
export function makeCudaLibraries(provider: string, folder: string): void {
  const written = new Set(RUNTIME.match(/\b_*cu\w+(?=\()/g));
  const rest = functionsOf(provider).filter((name) => !written.has(name));
  const text = [RUNTIME, ...rest.map((name) => `int ${name}(void) { return 0; }`), ""].join("\n");
  copyFileSync(compileLibrary(RUNTIME_LIBRARY, text, ["-w", "-fno-builtin"]), join(folder, RUNTIME_LIBRARY));
  for (const name of EMPTY_LIBRARIES) copyFileSync(compileLibrary(name, "\n"), join(folder, name));
  copyFileSync(compileCudaStub(), join(folder, "libcuda.so.1"));
}

/** What the provider calls of CUDA's libraries. */
function functionsOf(provider: string): string[] {
  const symbols = execFileSync("nm", ["-D", "--undefined-only", provider], { encoding: "utf8" });
  return [...new Set(symbols.match(/(?<= U )_*cu\w+/g))];
}

/** How often what was done, by a process that has loaded the provider. */
export interface CudaCounts {
  readonly launches: number;
  readonly captures: number;
  readonly replays: number;
  /** Of the provider's arena. */
  readonly allocations: number;
  /** Copies to the device that this process queued itself. */
  readonly sent: number;
}

export function cudaCounts(folder: string): () => CudaCounts {
  const runtime = koffi.load(join(folder, RUNTIME_LIBRARY)).func("stubCount", "long", ["str"]);
  const driver = koffi.load(join(folder, "libcuda.so.1")).func("stubCount", "uint64_t", ["str"]);
  const of = (what: string): number => Number(runtime(what));
  return () => ({
    launches: of("launches"),
    captures: of("captures"),
    replays: of("replays"),
    allocations: of("allocations"),
    sent: Number(driver("cuMemcpyHtoDAsync_v2")),
  });
}
