import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { PACKAGE_ROOT } from "../../support/vitrine-process.js";

/** Where an unpacked archive has CUDA's own libraries. */
const LIBRARIES = join(PACKAGE_ROOT, "cuda");

/** The environment of what is linked to them: the loader reads it when a process starts. */
export function withLibraries(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const folders = [...(existsSync(LIBRARIES) ? [LIBRARIES] : []), ...foldersOf(env)];
  return { ...env, ...(folders.length === 0 ? {} : { LD_LIBRARY_PATH: folders.join(delimiter) }) };
}

/** The environment of what brings its own, which may be of another version. */
export function withoutLibraries(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const folders = foldersOf(env).filter((folder) => folder !== LIBRARIES);
  return { ...env, LD_LIBRARY_PATH: folders.length === 0 ? undefined : folders.join(delimiter) };
}

const foldersOf = ({ LD_LIBRARY_PATH: path }: NodeJS.ProcessEnv): string[] =>
  (path ?? "").split(delimiter).filter((folder) => folder !== "");
