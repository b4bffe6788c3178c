import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { findOrtLibrary } from "../../../native/ort.js";
import { readDynamicSection } from "../../../src/doctor/elf.js";
import { closureOf } from "../../../src/doctor/library-search.js";
import { readLoaderCache } from "../../../src/doctor/loader-cache.js";
import { probeCuda } from "../../../src/runtime/load/device.js";

const LOADER_CACHE = "/etc/ld.so.cache";

/** What a run on a GPU lacks on this machine, in one line; undefined where nothing does. */
export function whatIsMissing(libraryPath: string | undefined): string | undefined {
  const { library, device } = probeCuda();
  const lacks = [library, device, ...(library === undefined ? missingLibraries(libraryPath) : [])];
  const known = lacks.filter((lack) => lack !== undefined);
  return known.length === 0 ? undefined : known.join("; ");
}

function missingLibraries(libraryPath: string | undefined): string[] {
  const provider = join(dirname(findOrtLibrary()), "libonnxruntime_providers_cuda.so");
  const { missing } = closureOf(provider, {
    libraryPath,
    cache: existsSync(LOADER_CACHE) ? readLoaderCache(readFileSync(LOADER_CACHE)) : new Map(),
    exists: existsSync,
    dynamicSection: readDynamicSection,
  });
  return missing.map(({ name, neededBy }) => `${name}, which ${neededBy} needs, is not here`);
}
