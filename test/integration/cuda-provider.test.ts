/**
 * What ONNX Runtime's own CUDA provider makes of our options, which it reads without a device and without a driver worth the
 * name, and whether NVIDIA's header declares what we do.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  COPY_2D,
  CUDA_API,
  DEVICE_MEMORY,
  INVALID_DEVICE,
  NON_BLOCKING,
  OUT_OF_MEMORY,
} from "../../native/cuda-api.js";
import { findOrtLibrary } from "../../native/ort.js";
import { compileLibrary, compiler } from "../support/compile-library.js";
import { temporaryFolders } from "../support/model-fixture.js";
import { requirePart } from "../support/requirements.js";

const CHILD = fileURLToPath(new URL("../support/cuda-options-child.js", import.meta.url));
/** Where `npm run gpu:pack` keeps what it fetched. */
const FETCHED = join(tmpdir(), "vitrine-bench", "cuda-libraries");
const PROVIDERS = ["libonnxruntime_providers_cuda.so", "libonnxruntime_providers_shared.so"];
/** All that the provider is linked to of the driver. */
const DRIVER = "int cuTensorMapEncodeTiled(void) { return 100; }";

/** The C type of each kind of argument; `void *` goes for a pointer to anything. */
const C_TYPES: Readonly<Record<string, string>> = {
  int: "int",
  uint: "unsigned int",
  uchar: "unsigned char",
  size: "size_t",
  address: "CUdeviceptr",
  host: "void *",
  copy2D: "CUDA_MEMCPY2D *",
  "*Context": "CUcontext",
  "*Stream": "CUstream",
  "out int": "int *",
  "out size": "size_t *",
  "out address": "CUdeviceptr *",
  "out str": "const char **",
  "out *Context": "CUcontext *",
  "out *Stream": "CUstream *",
};

/** A program that compiles where every row of the table can be called as it says. */
function callsOfTheTable(): string {
  const calls = Object.entries(CUDA_API).map(([name, kinds]) => {
    const parameters = kinds.map((kind, index) => `${C_TYPES[kind]} a${index}`).join(", ");
    return `CUresult call_${name}(${parameters}) { return ${name}(${kinds.map((_, index) => `a${index}`).join(", ")}); }`;
  });
  const { slots, width, height, ...same } = COPY_2D;
  const fields = Object.entries({ ...same, WidthInBytes: width, Height: height });
  const facts = [
    `sizeof(CUDA_MEMCPY2D) == ${8 * slots}`,
    ...fields.map(([field, slot]) => `offsetof(CUDA_MEMCPY2D, ${field}) == ${8 * slot}`),
    `CU_MEMORYTYPE_DEVICE == ${DEVICE_MEMORY} && CU_STREAM_NON_BLOCKING == ${NON_BLOCKING}`,
    `CUDA_ERROR_OUT_OF_MEMORY == ${OUT_OF_MEMORY} && CUDA_ERROR_INVALID_DEVICE == ${INVALID_DEVICE}`,
  ];
  const asserted = facts.map((fact) => `_Static_assert(${fact}, "${fact}");`);
  return ["#include <cuda.h>", "#include <stddef.h>", ...calls, ...asserted, ""].join("\n");
}

const folder = temporaryFolders();

describe("ONNX Runtime's CUDA provider", function () {
  this.timeout(60_000);

  before(function () {
    const source = join(FETCHED, "onnxruntime", "capi");
    requirePart(this, {
      name: "ONNX Runtime's CUDA provider",
      available: PROVIDERS.every((name) => existsSync(join(source, name))),
      why: "npm run gpu:pack fetches it, 1.3 GB with its libraries",
      mandatoryInCi: false,
    });
    requirePart(this, compiler());
  });

  it("takes over the stream it is given, and is found out where it does not", () => {
    const beside = folder();
    const library = join(beside, "libonnxruntime.so.1");
    symlinkSync(findOrtLibrary(), library);
    for (const name of PROVIDERS) symlinkSync(join(FETCHED, "onnxruntime", "capi", name), join(beside, name));
    const driver = dirname(compileLibrary("libcuda.so.1", DRIVER));
    const stream = { user_compute_stream: "94123456789" };
    const sets = [{ has_user_compute_stream: "1", use_tf32: "0", sdpa_kernel: "3", ...stream }, stream];
    const env = { ...process.env, LD_LIBRARY_PATH: `${driver}:${join(FETCHED, "nvidia", "cu13", "lib")}` };
    const child = spawnSync(process.execPath, [CHILD, library, JSON.stringify(sets)], { encoding: "utf8", env });
    const { stdout, status, signal } = child;
    assert.deepEqual(JSON.parse(stdout), [
      "taken",
      // By itself the address is dropped, and CUDA's default stream computed in.
      "ONNX Runtime's CUDA provider did not take its options: user_compute_stream is 0, not 94123456789.",
    ]);
    assert.deepEqual({ status, signal }, { status: 0, signal: null }, "the process ends in order");
  });

  it("comes with a header of the driver that declares what we call", () => {
    const source = join(folder(), "calls.c");
    writeFileSync(source, callsOfTheTable());
    const strict = ["-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-Werror"];
    const include = ["-isystem", join(FETCHED, "nvidia", "cu13", "include")];
    execFileSync("cc", ["-fsyntax-only", ...strict, ...include, source], { stdio: "pipe" });
  });
});
