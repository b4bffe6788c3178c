import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
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

/** Path of a shared library of that file name, which is gone when the process ends. */
export function compileLibrary(name: string, text: string, flags: readonly string[] = []): string {
  const folder = mkdtempSync(join(tmpdir(), "vitrine-stub-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const source = join(folder, "stub.c");
  const library = join(folder, name);
  writeFileSync(source, text);
  execFileSync("cc", ["-shared", "-fPIC", ...flags, "-o", library, source]);
  return library;
}
