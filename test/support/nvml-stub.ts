/** A `libnvidia-ml.so.1` made on the spot, so that the wrapper can be tested without a GPU. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Layouts as in nvml.h. Device 0 has every reading, 1 has no power and utilization, 2 answers with errors. */
const SOURCE = `
#include <string.h>
typedef struct { unsigned int gpu, memory; } Utilization;
typedef struct { unsigned long long total, free, used; } Memory;
static int devices[3] = {0, 1, 2};
static int initialized = 0;
int nvmlInit_v2(void) { return INIT_RESULT != 0 ? INIT_RESULT : (initialized++, 0); }
int nvmlShutdown(void) { return initialized == 0 ? 1 : (initialized--, 0); }
const char *nvmlErrorString(int code) { return code == 2 ? "Invalid Argument" : code == 9 ? "Driver Not Loaded" : code == 15 ? "GPU is lost" : "Unknown Error"; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
  if (initialized == 0) return 1;
  if (index > 2) return 2;
  *device = &devices[index];
  return 0;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
  if (strcmp(uuid, "GPU-stub") != 0) return 2;
  *device = &devices[0];
  return 0;
}
static int status(void *device, int optional) { int n = *(int *)device; return initialized == 0 ? 1 : n == 2 ? 15 : n == 1 && optional ? 3 : 0; }
int nvmlDeviceGetUtilizationRates(void *device, Utilization *out) {
  if (status(device, 1) == 0) { out->gpu = 37; out->memory = 11; }
  return status(device, 1);
}
int nvmlDeviceGetMemoryInfo(void *device, Memory *out) {
  if (status(device, 0) == 0) { out->total = 150754820096ull; out->used = 91268055041ull; out->free = 59486765055ull; }
  return status(device, 0);
}
int nvmlDeviceGetPowerUsage(void *device, unsigned int *out) {
  if (status(device, 1) == 0) *out = 312345;
  return status(device, 1);
}
`;

export function hasCompiler(): boolean {
  try {
    execFileSync("cc", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Path of a library whose `nvmlInit_v2` returns `initResult`. */
export function compileNvmlStub(initResult = 0): string {
  const folder = mkdtempSync(join(tmpdir(), "vitrine-nvml-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const source = join(folder, "nvml.c");
  const library = join(folder, "libnvidia-ml.so.1");
  writeFileSync(source, SOURCE);
  execFileSync("cc", ["-shared", "-fPIC", `-DINIT_RESULT=${initResult}`, "-o", library, source]);
  return library;
}
