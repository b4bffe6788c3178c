import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { ZipkinPropagator } from "../../src/tracing/context/propagator.js";

/** Files that a process loads which imports the package's entry, traced or not: V8's coverage lists every script. */
async function modulesOf(name: string, env: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "vitrine-modules-"));
  try {
    const { PATH = "" } = process.env;
    await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", `await import("${name}")`], {
      env: { PATH, NODE_V8_COVERAGE: folder, ...env },
    });
    return readdirSync(folder).flatMap((file) => {
      const { result } = JSON.parse(readFileSync(join(folder, file), "utf8")) as { result: { url: string }[] };
      return result.map(({ url }) => url).filter((url) => url.startsWith("file:"));
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("the package", () => {
  it("exports the propagator to other programs, without loading anything else of ours", async () => {
    // By its name, as another program would; the compiler cannot follow a package into itself before it is built.
    const name = "vitrine/propagator";
    const exported = (await import(name)) as { readonly ZipkinPropagator: typeof ZipkinPropagator };
    const propagator = new exported.ZipkinPropagator("b3multi");
    assert.ok(propagator.fields().includes("x-b3-traceid"));
  });

  it("exports what traces other programs, without the server, the engine, the runtime or native code of any model", async () => {
    for (const name of ["vitrine/instrumentation", "vitrine/register"]) {
      const loaded = await modulesOf(name, { ENABLE_ZIPKIN_TRACING: "true" });
      assert.ok(loaded.length > 50, `only ${loaded.length} modules seen`);
      const unwanted =
        /\/dist\/(src\/(server|engine|runtime|cli|gpu)|native)\/|\/(onnxruntime[^/]*|koffi|fastify|pino)\//;
      assert.deepEqual(
        loaded.filter((file) => unwanted.test(file)),
        [],
      );
    }
  });

  it("exports nothing by accident", async () => {
    const name = "vitrine/dist/src/errors.js";
    await assert.rejects(import(name), { code: "ERR_PACKAGE_PATH_NOT_EXPORTED" });
  });
});
