/** A `libcuda.so.1` made on the spot, whose devices are this process's memory: it does late what a stream may do late, and tells misuse. */
import { koffi } from "../../native/koffi.js";
import { compileLibrary } from "./compile-library.js";

/**
 * What is queued in a stream is done by `cuStreamSynchronize` and not before, as late as a driver may: who does not wait
 * reads what was there before; nothing of it where that is told to fail. Fresh memory holds 0xFF, which is NaN in every floating-point type. Faults are counted: freeing twice or what is in use, copies beyond or
 * between allocations, of freed memory, onto themselves, a call without a context. Devices are counted the other way
 * round than PCI does, as they would be where the last one is the fastest. Declarations as in cuda.h.
 */
const SOURCE = `
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define DEVICES 4
typedef uint64_t CUdeviceptr;
typedef struct { int device; uint64_t users; } Context;
typedef struct Block { unsigned char *base; size_t bytes; int device; struct Block *next; } Block;
typedef struct Copy { unsigned char *to, *from; size_t toPitch, fromPitch, width, height; struct Copy *next; } Copy;
typedef struct Stream { Context *context; Copy *first, **last; struct Stream *next; } Stream;
typedef struct {
  size_t srcXInBytes, srcY; int srcMemoryType; const void *srcHost; CUdeviceptr srcDevice; void *srcArray; size_t srcPitch;
  size_t dstXInBytes, dstY; int dstMemoryType; void *dstHost; CUdeviceptr dstDevice; void *dstArray; size_t dstPitch;
  size_t WidthInBytes, Height;
} CUDA_MEMCPY2D;
typedef struct { char name[40]; uint64_t calls, failsAt, times; int code; } Function;

static Context contexts[DEVICES] = {{0}, {1}, {2}, {3}};
static _Thread_local Context *current;
static Block *blocks;
static Stream *streams;
static Function functions[40];
static uint64_t allocated, peak, faults, limit = UINT64_MAX, pitchUnit = 1;
static int started;
static char fault[200];

static int wrong(const char *what) { faults++; snprintf(fault, sizeof fault, "%s", what); return 1; }
static Function *functionOf(const char *name) {
  Function *f = functions;
  while (f->name[0] && strcmp(f->name, name)) f++;
  snprintf(f->name, sizeof f->name, "%s", name);
  return f;
}
static int called(const char *name) {
  Function *f = functionOf(name);
  f->calls++;
  if (f->failsAt > 1) f->failsAt--;
  else if (f->times) return f->times--, f->code;
  return started || !strcmp(name, "cuInit") ? 0 : 3;
}
#define CALL { int code = called(__func__); if (code) return code; }
#define CALL_IN_CONTEXT CALL if (!current || !current->users) return wrong("a call without a context"), 201;

static Block *blockAt(const unsigned char *address, size_t bytes) {
  for (Block *b = blocks; b; b = b->next)
    if (address >= b->base && address + bytes <= b->base + b->bytes) return b;
  return NULL;
}
static size_t span(size_t pitch, size_t width, size_t height) { return height ? (height - 1) * pitch + width : 0; }
static int overlap(const unsigned char *a, size_t aBytes, const unsigned char *b, size_t bBytes) { return a < b + bBytes && b < a + aBytes; }

static int queue(Stream *stream, Copy copy, int toDevice, int fromDevice) {
  size_t to = span(copy.toPitch, copy.width, copy.height), from = span(copy.fromPitch, copy.width, copy.height);
  if (stream->context != current) return wrong("a stream of another context"), 400;
  if (toDevice && !blockAt(copy.to, to)) return wrong("a copy to what is not allocated");
  if (fromDevice && !blockAt(copy.from, from)) return wrong("a copy from what is not allocated");
  if (overlap(copy.to, to, copy.from, from)) return wrong("a copy onto itself");
  Copy *queued = malloc(sizeof copy);
  *queued = copy;
  queued->next = NULL;
  *stream->last = queued;
  stream->last = &queued->next;
  return 0;
}
static void finish(Stream *stream, int lost) {
  for (Copy *copy = stream->first, *next; copy; copy = next) {
    if (lost) {}
    else if (!copy->from) memset(copy->to, 0, copy->width);
    else for (size_t row = 0; row < copy->height; row++) memcpy(copy->to + row * copy->toPitch, copy->from + row * copy->fromPitch, copy->width);
    next = copy->next;
    free(copy);
  }
  stream->first = NULL;
  stream->last = &stream->first;
}

int cuInit(unsigned flags) { CALL started = flags == 0 && INIT_RESULT == 0; return flags == 0 ? INIT_RESULT : 1; }
int cuDeviceGet(int *device, int ordinal) { CALL if (ordinal < 0 || ordinal >= DEVICES) return 101; *device = DEVICES - 1 - ordinal; return 0; }
int cuDeviceGetUuid_v2(unsigned char *uuid, int device) { CALL for (int i = 0; i < 16; i++) uuid[i] = i * 16 + device; return 0; }
int cuDevicePrimaryCtxRetain(Context **context, int device) { CALL *context = &contexts[device]; contexts[device].users++; return 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { CALL if (!contexts[device].users) return wrong("a context released twice"); contexts[device].users--; return 0; }
int cuCtxSetCurrent(Context *context) { CALL current = context; return 0; }
int cuMemGetInfo_v2(size_t *free, size_t *total) { CALL_IN_CONTEXT *total = limit; *free = limit - allocated; return 0; }
int cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
  CALL_IN_CONTEXT
  if (bytes == 0) return 1;
  if (bytes > limit - allocated) return 2;
  Block *block = malloc(sizeof *block);
  *block = (Block){aligned_alloc(256, (bytes + 255) / 256 * 256), bytes, current->device, blocks};
  memset(block->base, 0xFF, bytes);
  blocks = block;
  allocated += bytes;
  if (allocated > peak) peak = allocated;
  *address = (CUdeviceptr)block->base;
  return 0;
}
int cuMemFree_v2(CUdeviceptr address) {
  CALL_IN_CONTEXT
  Block **at = &blocks;
  while (*at && (CUdeviceptr)(*at)->base != address) at = &(*at)->next;
  Block *block = *at;
  if (!block) return wrong("freed what is not allocated");
  if (block->device != current->device) return wrong("freed in another context");
  for (Stream *s = streams; s; s = s->next)
    for (Copy *c = s->first; c; c = c->next)
      if (blockAt(c->to, 1) == block || blockAt(c->from, 1) == block) return wrong("freed what a queued copy uses");
  *at = block->next;
  allocated -= block->bytes;
  memset(block->base, 0xDD, block->bytes);
  free(block->base);
  free(block);
  return 0;
}
int cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, Stream *stream) {
  CALL_IN_CONTEXT
  if (value) return wrong("cleared to something else than zero");
  return queue(stream, (Copy){(void *)to, NULL, 0, 0, bytes, 1}, 1, 0);
}
int cuStreamCreate(Stream **stream, unsigned flags) {
  CALL_IN_CONTEXT
  if (flags != 1) return wrong("a stream that waits for the default one");
  *stream = calloc(1, sizeof **stream);
  **stream = (Stream){current, NULL, &(*stream)->first, streams};
  streams = *stream;
  return 0;
}
int cuStreamSynchronize(Stream *stream) {
  int code = called(__func__);
  if (!current || !current->users) return wrong("a call without a context"), 201;
  finish(stream, code);
  return code;
}
int cuStreamDestroy_v2(Stream *stream) {
  CALL_IN_CONTEXT
  Stream **at = &streams;
  while (*at && *at != stream) at = &(*at)->next;
  if (!*at) return wrong("a stream destroyed twice");
  if (stream->first) wrong("a stream destroyed with copies in it");
  *at = stream->next;
  free(stream);
  return 0;
}
int cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, Stream *stream) {
  CALL_IN_CONTEXT return queue(stream, (Copy){(void *)to, (void *)from, 0, 0, bytes, 1}, 1, 0);
}
int cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, Stream *stream) {
  CALL_IN_CONTEXT return queue(stream, (Copy){to, (void *)from, 0, 0, bytes, 1}, 0, 1);
}
int cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, Stream *stream) {
  CALL_IN_CONTEXT return queue(stream, (Copy){(void *)to, (void *)from, 0, 0, bytes, 1}, 1, 1);
}
int cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *c, Stream *stream) {
  CALL_IN_CONTEXT
  if (c->srcMemoryType != 2 || c->dstMemoryType != 2) return wrong("not within the device");
  if (c->WidthInBytes > c->srcPitch || c->WidthInBytes > c->dstPitch) return wrong("a pitch less than the width");
  if (c->srcPitch % pitchUnit || c->dstPitch % pitchUnit) return 1;
  unsigned char *to = (unsigned char *)c->dstDevice + c->dstY * c->dstPitch + c->dstXInBytes;
  unsigned char *from = (unsigned char *)c->srcDevice + c->srcY * c->srcPitch + c->srcXInBytes;
  return queue(stream, (Copy){to, from, c->dstPitch, c->srcPitch, c->WidthInBytes, c->Height}, 1, 1);
}
static const char *texts[][2] = {
  [1] = {"CUDA_ERROR_INVALID_VALUE", "invalid argument"}, [2] = {"CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
  [100] = {"CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"}, [101] = {"CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
  [201] = {"CUDA_ERROR_INVALID_CONTEXT", "invalid device context"}, [700] = {"CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
};
static int textOf(int code, int which, const char **text) { *text = code >= 0 && code <= 700 ? texts[code][which] : NULL; return *text ? 0 : 1; }
int cuGetErrorName(int code, const char **text) { return textOf(code, 0, text); }
int cuGetErrorString(int code, const char **text) { return textOf(code, 1, text); }

void stubLimit(uint64_t bytes) { limit = bytes; }
void stubPitchUnit(uint64_t bytes) { pitchUnit = bytes; }
void stubFail(const char *name, int code, uint64_t n, uint64_t times) { Function *f = functionOf(name); f->code = code; f->failsAt = n; f->times = times; }
void stubForgetPeak(void) { peak = allocated; }
uint64_t stubLastStream(void) { return (uint64_t)streams; }
const char *stubFault(void) { return fault; }
uint64_t stubCount(const char *what) {
  uint64_t n = 0;
  if (!strcmp(what, "faults")) return faults;
  if (!strcmp(what, "allocated")) return allocated;
  if (!strcmp(what, "peak")) return peak;
  if (!strcmp(what, "blocks")) { for (Block *b = blocks; b; b = b->next) n++; return n; }
  if (!strcmp(what, "streams")) { for (Stream *s = streams; s; s = s->next) n++; return n; }
  if (!strcmp(what, "contexts")) { for (int d = 0; d < DEVICES; d++) n += contexts[d].users; return n; }
  return functionOf(what)->calls;
}
`;

type Counter = "faults" | "allocated" | "peak" | "blocks" | "streams" | "contexts" | `cu${string}`;

/** The library, and what only a stub can tell. */
export interface CudaStub {
  readonly path: string;
  /** Faults, bytes allocated now and at most, live objects, or the calls of a function. */
  count(what: Counter): number;
  /** What the last fault was. */
  fault(): string;
  /** Bytes of each device. */
  limit(bytes: number): void;
  /** Pitched copies are refused where a pitch is no multiple of this. */
  pitchUnit(bytes: number): void;
  /** The n-th call of a function from now on returns `code`, and so do the next ones up to `times` in all. */
  fail(name: string, code: number, n?: number, times?: number): void;
  forgetPeak(): void;
  /** Where the stream is that was made last. */
  lastStream(): bigint;
}

/** Path of a library whose `cuInit` returns `initResult`. */
export const compileCudaStub = (initResult = 0): string =>
  compileLibrary("libcuda.so.1", SOURCE, [`-DINIT_RESULT=${initResult}`]);

export function openCudaStub(path: string = compileCudaStub()): CudaStub {
  const library = koffi.load(path);
  const count = library.func("stubCount", "uint64_t", ["str"]) as (what: string) => number;
  const fault = library.func("stubFault", "str", []) as () => string;
  const limit = library.func("stubLimit", "void", ["uint64_t"]) as (bytes: number) => void;
  const pitchUnit = library.func("stubPitchUnit", "void", ["uint64_t"]) as (bytes: number) => void;
  const fail = library.func("stubFail", "void", ["str", "int", "uint64_t", "uint64_t"]) as (...args: unknown[]) => void;
  const forgetPeak = library.func("stubForgetPeak", "void", []) as () => void;
  const lastStream = library.func("stubLastStream", "uint64_t", []) as () => number | bigint;
  return {
    path,
    lastStream: () => BigInt(lastStream()),
    count,
    fault,
    limit,
    pitchUnit,
    forgetPeak,
    fail: (name, code, n = 1, times = 1) => fail(name, code, n, times),
  };
}
