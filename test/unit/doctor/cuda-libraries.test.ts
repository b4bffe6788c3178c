import assert from "node:assert/strict";
import { type CudaWorld, checkCudaLibraries } from "../../../src/doctor/cuda-libraries.js";
import { findLibrary } from "../../../src/doctor/library-search.js";
import { cures, lines } from "./findings.js";

const PROVIDER = "/app/ort/libonnxruntime_providers_cuda.so";

/** Files by path, with what each needs. */
function world(files: Readonly<Record<string, readonly string[]>>, changes: Partial<CudaWorld> = {}): CudaWorld {
  return {
    provider: PROVIDER,
    gpus: { kind: "driver", driverVersion: "580.65.06", cudaVersion: "13.0", gpus: [] },
    required: true,
    libraryPath: undefined,
    cache: new Map(),
    exists: (path) => path in files,
    dynamicSection: (path) => (path in files ? { needed: files[path] ?? [], runpath: [] } : undefined),
    ...changes,
  };
}

const NEEDS = ["libcublasLt.so.13", "libcudart.so.13", "libcuda.so.1", "libc.so.6"];
const COMPLETE = {
  [PROVIDER]: NEEDS,
  "/usr/lib/libcublasLt.so.13": ["libc.so.6"],
  "/usr/lib/libcudart.so.13": ["libc.so.6"],
  "/usr/lib/libcuda.so.1": ["libc.so.6"],
  "/lib/libc.so.6": [],
};

describe("doctor: CUDA's libraries", () => {
  it("tells which CUDA the provider is linked to, and that all is here", () => {
    assert.deepEqual(lines(checkCudaLibraries(world(COMPLETE))), [
      "ok the CUDA provider is linked to CUDA 13",
      "ok its libraries are here: libcublasLt.so.13, libcudart.so.13, libcuda.so.1",
      "ok no cuDNN (libcudnn.so.9): decoders need none",
    ]);
  });

  it("names what is missing, what its libraries need included", () => {
    const files = { ...COMPLETE, "/usr/lib/libcudart.so.13": ["libnvJitLink.so.13"] };
    const { "/usr/lib/libcublasLt.so.13": _gone, ...rest } = files;
    const found = checkCudaLibraries(world(rest));
    assert.equal(
      lines(found)[1],
      "problem it needs libcublasLt.so.13, libnvJitLink.so.13, and the loader finds no such file",
    );
    assert.match(cures(found)[0] ?? "", /CUDA 13 .*LD_LIBRARY_PATH/);
  });

  it("knows the driver's own library from CUDA's", () => {
    const { "/usr/lib/libcuda.so.1": _gone, ...rest } = COMPLETE;
    const found = checkCudaLibraries(world(rest));
    assert.ok(lines(found).includes("problem it needs libcuda.so.1, which comes with the driver"));
    assert.match(cures(found)[0] ?? "", /--gpus all/);
  });

  it("finds a driver that is too old for the provider", () => {
    const gpus = { kind: "driver", driverVersion: "560.35", cudaVersion: "12.6", gpus: [] } as const;
    const found = checkCudaLibraries(world(COMPLETE, { gpus }));
    assert.ok(
      lines(found).includes("problem driver 560.35 runs CUDA 12.6 at most, and the provider needs CUDA 13"),
      lines(found).join("\n"),
    );
    assert.match(cures(found)[0] ?? "", /580 or later.*cuda-compat-13-0/);
  });

  it("only warns where nobody asked for a GPU by name", () => {
    const found = checkCudaLibraries(world({ [PROVIDER]: NEEDS }, { required: false }));
    assert.ok(found.every(({ status }) => status !== "problem"));
    assert.ok(found.some(({ status }) => status === "warning"));
  });

  it("tells a missing provider, and whether that matters", () => {
    const without = (changes: Partial<CudaWorld>) =>
      lines(checkCudaLibraries(world({}, { provider: undefined, ...changes })))[0];
    assert.match(without({}) ?? "", /^problem .*not installed/);
    assert.match(without({ required: false }) ?? "", /^ok .*not needed/);
    const gpu = { name: "G", uuid: "", processes: [], throttled: [], eccUncorrected: 0, migEnabled: false };
    const gpus = { kind: "driver", driverVersion: "580", cudaVersion: "13.0", gpus: [gpu] } as const;
    assert.match(without({ required: false, gpus }) ?? "", /^warning there is a GPU/);
  });

  it("finds a provider that is none", () => {
    assert.match(lines(checkCudaLibraries(world({ [PROVIDER]: ["libc.so.6"] })))[0] ?? "", /^problem .*names a CUDA/);
  });
});

describe("doctor: where the loader looks", () => {
  const everywhere = {
    libraryPath: "/from/path:",
    cache: new Map([["libx.so", ["/from/cache/libx.so"]]]),
    dynamicSection: () => undefined,
  };
  const found = (...present: readonly string[]) =>
    findLibrary("libx.so", "/app/provider.so", ["$ORIGIN/deps"], { ...everywhere, exists: (p) => present.includes(p) });

  it("takes LD_LIBRARY_PATH, then the library's own folders, the cache, and the usual folders", () => {
    const order = ["/from/path/libx.so", "/app/deps/libx.so", "/from/cache/libx.so", "/usr/lib/libx.so"];
    for (let first = 0; first < order.length; first++) {
      assert.equal(found(...order.slice(first)), order[first]);
    }
    assert.equal(found("/somewhere/else/libx.so"), undefined);
  });
});
