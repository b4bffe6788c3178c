import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { findOrtLibrary } from "../../../native/ort.js";
import { checkCudaLibraries } from "../../../src/doctor/cuda-libraries.js";
import { readDynamicSection } from "../../../src/doctor/elf.js";
import type { Finding } from "../../../src/doctor/finding.js";
import { probeGpus } from "../../../src/doctor/gpu-probe.js";
import { readLoaderCache } from "../../../src/doctor/loader-cache.js";
import { probeCuda } from "../../../src/runtime/load/device.js";

const LOADER_CACHE = "/etc/ld.so.cache";
const PROBE_MS = 15_000;

/** What a run on a GPU lacks on this machine, each with its cure; empty where it may begin. */
export async function whatIsMissing(libraryPath: string | undefined): Promise<string[]> {
  const { device } = probeCuda();
  const provider = join(dirname(findOrtLibrary()), "libonnxruntime_providers_cuda.so");
  const found = checkCudaLibraries({
    provider: existsSync(provider) ? provider : undefined,
    gpus: await probeGpus(PROBE_MS),
    required: true,
    libraryPath,
    cache: existsSync(LOADER_CACHE) ? readLoaderCache(readFileSync(LOADER_CACHE)) : new Map(),
    exists: existsSync,
    dynamicSection: readDynamicSection,
  });
  return [...(device === undefined ? [] : [device]), ...found.flatMap(inWords)];
}

const inWords = (finding: Finding): string[] =>
  finding.status === "problem" ? [`${finding.what}. ${finding.cure.replace(/\.$/, "")}`] : [];
