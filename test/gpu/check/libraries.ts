/** ONNX Runtime's CUDA provider and the libraries it is linked to, as PyPI has them, pinned by hash in libraries.txt. */
import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { readDynamicSection } from "../../../src/doctor/elf.js";
import { closureOf } from "../../../src/doctor/library-search.js";
import { installOnce, run } from "../../bench/install.js";
import { PACKAGE_ROOT } from "../../support/vitrine-process.js";

const REQUIREMENTS = join(PACKAGE_ROOT, "test", "gpu", "check", "libraries.txt");
const PROVIDERS = ["libonnxruntime_providers_cuda.so", "libonnxruntime_providers_shared.so"];
/** The driver's, and what every system with glibc has. */
const ELSEWHERE = /^lib(cuda|dl|rt|pthread|stdc\+\+|m|gcc_s|c)\.so\.\d+$|^ld-linux-x86-64\.so\.2$/;

/** A folder with the wheels' files. Throws where they cannot be had. */
export function fetchLibraries(cache: string): string {
  const wheels = ["--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp"];
  const platforms = ["manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64"];
  const fetched = installOnce(join(cache, "cuda-libraries"), pinned().join(" "), () => {
    const target = ["--target", join(cache, "cuda-libraries"), "--no-compile", "--quiet"];
    const platform = platforms.flatMap((name) => ["--platform", name]);
    run("python3", [
      "-m",
      "pip",
      "install",
      "--no-deps",
      "--require-hashes",
      ...target,
      ...wheels,
      ...platform,
      "-r",
      REQUIREMENTS,
    ]);
  });
  if ("missing" in fetched) throw new Error(fetched.missing);
  return fetched.path;
}

/** Names and versions. */
export const pinned = (): string[] => readFileSync(REQUIREMENTS, "utf8").match(/^[\w-]+==[\w.]+/gm) ?? [];

/**
 * Puts the provider beside ONNX Runtime's own library, and what it is linked to into `cudaFolder`. Throws where the two are
 * not of one build, or something has not been fetched.
 */
export function placeLibraries(fetched: string, runtimeFolder: string, cudaFolder: string): void {
  const source = join(fetched, "onnxruntime", "capi");
  const version = pinned()
    .find((one) => one.startsWith("onnxruntime-gpu=="))
    ?.split("==")[1];
  checkSameBuild(join(source, `libonnxruntime.so.${version}`), join(runtimeFolder, "libonnxruntime.so.1"));
  const provider = join(source, PROVIDERS[0] as string);
  const { found, missing } = closureOf(provider, {
    libraryPath: join(fetched, "nvidia", "cu13", "lib"),
    cache: new Map(),
    exists: (path) => path.startsWith(fetched) && existsSync(path),
    dynamicSection: readDynamicSection,
  });
  const lacking = missing.filter(({ name }) => !ELSEWHERE.test(name));
  if (lacking.length > 0)
    throw new Error(`${REQUIREMENTS} lacks what has ${lacking.map(({ name }) => name).join(", ")}`);
  for (const name of PROVIDERS) copyFileSync(join(source, name), join(runtimeFolder, name));
  mkdirSync(cudaFolder);
  for (const path of found.values()) copyFileSync(path, join(cudaFolder, basename(path)));
}

/** The provider calls into the library by the layout of its classes: only one and the same source will do. */
function checkSameBuild(theirs: string, ours: string): void {
  const [a, b] = [commitOf(theirs), commitOf(ours)];
  if (a !== b) throw new Error(`${theirs} is built of ${a}, ${ours} of ${b}`);
}

const commitOf = (path: string): string | undefined =>
  /git-commit-id=([0-9a-f]+)/.exec(readFileSync(path, "latin1"))?.[1];
