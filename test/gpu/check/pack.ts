/**
 * The archive for a machine with a GPU and without a network: Node, this build, production packages, the shipped model, the
 * CUDA provider and its libraries. `npm run gpu:pack -- DIR [--part-bytes 60M]`.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { run } from "../../bench/install.js";
import { PACKAGE_ROOT } from "../../support/vitrine-process.js";
import { writeArchive } from "./archive.js";
import { EXPORTED_FILES } from "./exported.js";
import { fetchLibraries, placeLibraries } from "./libraries.js";
import { TORCH_SCRIPT } from "./torch.js";

/** What runs, as it lies in a checkout. */
const COPIED = ["dist", "package.json", "LICENSE", "models/tiny", TORCH_SCRIPT, ...EXPORTED_FILES];
/** CUDA's, as `packed.ts` finds them. */
const LIBRARIES = "cuda";
const RUNTIME = join("node_modules", "onnxruntime-node", "bin", "napi-v6");
/** What a part may have on its way: a megabyte less than 64 MiB leaves room for what carries it. */
const PART_BYTES = "60M";

function bytesOf(size: string): number {
  const [, digits, unit = ""] = /^(\d+)([KMG]?)$/i.exec(size) ?? [];
  if (digits === undefined || Number(digits) === 0)
    throw new Error(`--part-bytes ${size}: expected a size such as 60M.`);
  return Number(digits) * 1024 ** " KMG".indexOf(unit.toUpperCase() || " ");
}

function fill(stage: string): void {
  for (const name of COPIED) cpSync(join(PACKAGE_ROOT, name), join(stage, name), { recursive: true });
  for (const name of ["package-lock.json", ".npmrc"]) cpSync(join(PACKAGE_ROOT, name), join(stage, name));
  run("npm", [
    "ci",
    "--prefix",
    stage,
    "--omit=dev",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
  ]);
  for (const other of ["darwin", "win32", join("linux", "arm64")]) {
    rmSync(join(stage, RUNTIME, other), { recursive: true, force: true });
  }
  const commit = execFileSync("git", ["describe", "--always", "--dirty"], { cwd: PACKAGE_ROOT, encoding: "utf8" });
  writeFileSync(join(stage, "COMMIT"), commit);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { "part-bytes": { type: "string", default: PART_BYTES } },
    allowPositionals: true,
  });
  const [target] = positionals;
  if (target === undefined) throw new Error("Give the folder that the archive goes to: npm run gpu:pack -- DIR");
  if (process.platform !== "linux" || process.arch !== "x64")
    throw new Error("The archive is made on linux/x64, for it.");
  const partBytes = bytesOf(values["part-bytes"]);
  mkdirSync(target, { recursive: true });
  if (readdirSync(target).length > 0) throw new Error(`${target} is not empty.`);
  const stage = mkdtempSync(join(tmpdir(), "vitrine-pack-"));
  try {
    const libraries = fetchLibraries(join(tmpdir(), "vitrine-bench"));
    process.stderr.write("Collecting what runs ...\n");
    fill(stage);
    placeLibraries(libraries, join(stage, RUNTIME, "linux", "x64"), join(stage, LIBRARIES));
    process.stderr.write("Compressing it ...\n");
    const script = join(PACKAGE_ROOT, "test", "gpu", "check", "unpack.sh");
    const source = { folder: stage, optional: LIBRARIES, node: process.execPath, script };
    const parts = await writeArchive(source, target, partBytes);
    const own = parts.filter((name) => name.startsWith(LIBRARIES));
    const sizeOf = (names: readonly string[]): string => {
      const bytes = names.reduce((sum, name) => sum + statSync(join(target, name)).size, 0);
      return `${names.length} parts, ${Math.round(bytes / 2 ** 20)} MiB`;
    };
    console.log(`${target}: ${sizeOf(parts)}, SHA256SUMS and unpack.sh.`);
    console.log(`Of these, ${LIBRARIES}.tar.br.*, CUDA's own libraries: ${sizeOf(own)}.`);
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
