/** A `libnvidia-ml.so.1` made on the spot, so that its wrapper can be tested without a GPU. */
import { compileLibrary } from "./compile-library.js";

/**
 * Layouts as in nvml.h. Device 0 has every reading; 1 has none that a board may lack; 2 is lost; 3 has MIG on, of another
 * model. `OLD` leaves out what drivers before 535 do not have. Energy grows by 25 J a reading.
 */
const NVML_SOURCE = `
#include <string.h>
#include <stdio.h>
#include <unistd.h>
typedef struct { unsigned int gpu, memory; } Utilization;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } MemoryV2;
typedef struct { unsigned int pid; unsigned long long used; unsigned int gi, ci; } Process;
static int devices[4] = {0, 1, 2, 3};
static int initialized = 0;
static unsigned long long energy = 1000000;
static void uuidOf(int n, char *out, unsigned int length) {
  snprintf(out, length, "GPU-0%d1%d2%d3%d-4%d5%d-6%d7%d-8%d9%d-a%db%dc%dd%de%df%d", n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n);
}
int nvmlInit_v2(void) { usleep(INIT_MICROS); return INIT_RESULT != 0 ? INIT_RESULT : (initialized++, 0); }
int nvmlShutdown(void) { return initialized == 0 ? 1 : (initialized--, 0); }
const char *nvmlErrorString(int code) { return code == 2 ? "Invalid Argument" : code == 9 ? "Driver Not Loaded" : code == 15 ? "GPU is lost" : "Unknown Error"; }
int nvmlSystemGetDriverVersion(char *out, unsigned int length) { snprintf(out, length, "580.65.06"); return 0; }
int nvmlSystemGetCudaDriverVersion_v2(int *out) { *out = 13000; return 0; }
int nvmlDeviceGetCount_v2(unsigned int *out) { *out = 4; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
  if (initialized == 0) return 1;
  if (index > 3) return 2;
  *device = &devices[index];
  return 0;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
  for (int n = 0; n < 4; n++) {
    char own[80];
    uuidOf(n, own, sizeof own);
    if (strcmp(uuid, own) == 0) return *device = &devices[n], 0;
  }
  return 2;
}
static int numberOf(void *device) { return *(int *)device; }
int nvmlDeviceGetName(void *device, char *out, unsigned int length) {
  snprintf(out, length, numberOf(device) == 3 ? "NVIDIA A30" : "NVIDIA H200");
  return 0;
}
int nvmlDeviceGetUUID(void *device, char *out, unsigned int length) { uuidOf(numberOf(device), out, length); return 0; }
/* 3 is "not supported", 15 "lost". */
static int status(void *device, int optional) { int n = numberOf(device); return initialized == 0 ? 1 : n == 2 ? 15 : n == 1 && optional ? 3 : 0; }
#define READ(optional, ...) { int code = status(device, optional); if (code == 0) { __VA_ARGS__; } return code; }
int nvmlDeviceGetUtilizationRates(void *device, Utilization *out) { if (numberOf(device) == 3) return 3; READ(1, out->gpu = 37; out->memory = 11) }
int nvmlDeviceGetMemoryInfo(void *device, Memory *out) READ(0, out->total = 150754820096ull; out->used = 91268055041ull; out->free = 59486765055ull)
int nvmlDeviceGetPowerUsage(void *device, unsigned int *out) READ(1, *out = 312345)
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *out) READ(1, *out = energy += 25000)
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned int *out) { if (sensor != 0) return 2; READ(1, *out = 61) }
int nvmlDeviceGetClockInfo(void *device, int type, unsigned int *out) READ(1, *out = type == 1 ? 1980 : type == 2 ? 3201 : 7)
int nvmlDeviceGetMigMode(void *device, unsigned int *current, unsigned int *pending) READ(1, *current = *pending = numberOf(device) == 3)
int nvmlDeviceGetTotalEccErrors(void *device, int type, int counter, unsigned long long *out) { if (counter != 0) return 2; READ(1, *out = type == 0 ? 12 : 0) }
#ifdef OLD
int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *out) READ(1, *out = 0x8)
int nvmlDeviceGetComputeRunningProcesses_v2(void *device, unsigned int *count, Process *out) { *count = 0; return 0; }
#else
int nvmlDeviceGetMemoryInfo_v2(void *device, MemoryV2 *out) {
  if (out->version != (sizeof(MemoryV2) | (2u << 24))) return 25;
  READ(0, out->total = 150754820096ull; out->reserved = 588251136ull; out->used = 90679803905ull; out->free = 59486765055ull)
}
int nvmlDeviceGetCurrentClocksEventReasons(void *device, unsigned long long *out) READ(1, *out = 0x4 | 0x40)
/* More processes than a caller may have expected. */
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned int *count, Process *out) {
  unsigned int room = *count, i;
  int code = status(device, 1);
  if (code != 0) return code;
  *count = 20;
  if (room < 20) return 7;
  for (i = 0; i < 20; i++) {
    out[i].pid = 1000 + i;
    out[i].used = i == 19 ? 0xffffffffffffffffull : (4294967296ull + i);
    out[i].gi = out[i].ci = 0xffffffffu;
  }
  return 0;
}
#endif
`;

/** As the stubs, this one and that of CUDA, have it. */
export const stubUuid = (device: number): string =>
  "GPU-0_1_2_3_-4_5_-6_7_-8_9_-a_b_c_d_e_f_".replaceAll("_", String(device));

export interface NvmlStub {
  /** What `nvmlInit_v2` returns. */
  readonly initResult?: number;
  /** How long it takes. */
  readonly initMicros?: number;
  /** As drivers before 535 have it. */
  readonly old?: boolean;
}

/** Path of the library. */
export function compileNvmlStub({ initResult = 0, initMicros = 0, old = false }: NvmlStub = {}): string {
  const flags = [`-DINIT_RESULT=${initResult}`, `-DINIT_MICROS=${initMicros}`, ...(old ? ["-DOLD"] : [])];
  return compileLibrary("libnvidia-ml.so.1", NVML_SOURCE, flags);
}
