import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RequiredPart } from "./requirements.js";

/** What tests with libraries made on the spot require. */
export const compiler = (): RequiredPart => ({
  name: "a C compiler",
  available: hasCompiler(),
  why: "there is no cc command on the PATH",
  mandatoryInCi: true,
});

function hasCompiler(): boolean {
  try {
    execFileSync("cc", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

let folder: string | undefined;
const compiled = new Map<string, string>();
let copies = 0;

/** Path of a shared library of that file name, one of its own at every call, which is gone when the process ends. */
export function compileLibrary(name: string, text: string, flags: readonly string[] = []): string {
  folder ??= temporaryFolder();
  const key = [text, ...flags].join("\0");
  const original = compiled.get(key) ?? compile(join(folder, `original-${compiled.size}`), text, flags);
  compiled.set(key, original);
  const own = join(folder, String(copies++));
  mkdirSync(own);
  copyFileSync(original, join(own, name));
  return join(own, name);
}

function compile(library: string, text: string, flags: readonly string[]): string {
  writeFileSync(`${library}.c`, text);
  execFileSync("cc", ["-shared", "-fPIC", ...flags, "-o", library, `${library}.c`]);
  return library;
}

function temporaryFolder(): string {
  const path = mkdtempSync(join(tmpdir(), "vitrine-stub-"));
  process.once("exit", () => rmSync(path, { recursive: true, force: true }));
  return path;
}
