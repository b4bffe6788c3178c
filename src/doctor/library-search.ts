import { dirname, join } from "node:path";
import type { DynamicSection } from "./elf.js";

/** Where the dynamic loader looks, and what it would find there. Source: ld.so(8). */
export interface LoaderWorld {
  /** `LD_LIBRARY_PATH`. */
  readonly libraryPath: string | undefined;
  readonly cache: ReadonlyMap<string, readonly string[]>;
  exists(path: string): boolean;
  /** Undefined for a file that is no library of this machine's kind. */
  dynamicSection(path: string): DynamicSection | undefined;
}

const DEFAULT_FOLDERS = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];

export interface LibraryClosure {
  /** Name to path of every library that would be loaded, the first one's own needs and theirs. */
  readonly found: ReadonlyMap<string, string>;
  /** Each with the library that needs it. */
  readonly missing: readonly { readonly name: string; readonly neededBy: string }[];
}

/** All that loading `path` would load. @param provided names that are there without a file, such as what a process has loaded */
export function closureOf(path: string, world: LoaderWorld, provided: ReadonlySet<string> = new Set()): LibraryClosure {
  const found = new Map<string, string>();
  const missing = new Map<string, string>();
  const visit = (library: string): void => {
    const section = world.dynamicSection(library);
    for (const name of section?.needed ?? []) {
      if (found.has(name) || missing.has(name) || provided.has(name)) continue;
      const at = findLibrary(name, library, section?.runpath ?? [], world);
      if (at === undefined) {
        missing.set(name, library);
        continue;
      }
      found.set(name, at);
      visit(at);
    }
  };
  visit(path);
  return { found, missing: [...missing].map(([name, neededBy]) => ({ name, neededBy })) };
}

/** Where the loader would take a library from that another one needs. */
export function findLibrary(
  name: string,
  neededBy: string,
  runpath: readonly string[],
  world: LoaderWorld,
): string | undefined {
  const own = runpath.map((folder) => folder.replaceAll(/\$ORIGIN|\$\{ORIGIN\}/g, dirname(neededBy)));
  const listed = (world.libraryPath ?? "").split(/[:;]/).filter((folder) => folder !== "");
  const candidates = [
    ...[...listed, ...own].map((folder) => join(folder, name)),
    ...(world.cache.get(name) ?? []),
    ...DEFAULT_FOLDERS.map((folder) => join(folder, name)),
  ];
  return candidates.find((path) => world.exists(path));
}
