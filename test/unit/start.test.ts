import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Static imports only: what `import()` loads, it loads later. */
const IMPORT = /^(?:import|export)\b[^;]*?\bfrom\s*"([^"]+)"|^import\s+"([^"]+)"/gm;

/** Packages that a program of `dist/src` loads before its first line runs. */
function packagesOf(entry: string): Set<string> {
  const packages = new Set<string>();
  const seen = new Set<string>();
  const visit = (file: URL): void => {
    if (seen.has(file.href)) return;
    seen.add(file.href);
    for (const [, from, alone] of readFileSync(fileURLToPath(file), "utf8").matchAll(IMPORT)) {
      const specifier = from ?? alone ?? "";
      if (specifier.startsWith(".")) visit(new URL(specifier, file));
      else if (!specifier.startsWith("node:")) packages.add(specifier);
    }
  };
  visit(new URL(`../../src/${entry}`, import.meta.url));
  return packages;
}

describe("what a start waits for", () => {
  it("in the engine process is the way into ONNX Runtime and the graph's format, and nothing else", () => {
    const packages = ["@bufbuild/protobuf", "@bufbuild/protobuf/codegenv2", "@bufbuild/protobuf/wire", "koffi"];
    assert.deepEqual([...packagesOf("cli/engine-process.js")].sort(), packages);
  });

  it("before the engine process is started, is not the server nor tracing", () => {
    const packages = packagesOf("cli/main.js");
    assert.ok(packages.has("commander"));
    for (const name of packages) assert.doesNotMatch(name, /^(fastify|prom-client|@opentelemetry|@huggingface)/);
  });
});
