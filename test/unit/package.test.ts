import assert from "node:assert/strict";
import type { ZipkinPropagator } from "../../src/tracing/context/propagator.js";

describe("the package", () => {
  it("exports the propagator to other programs, without loading anything else of ours", async () => {
    // By its name, as another program would; the compiler cannot follow a package into itself before it is built.
    const name = "vitrine/propagator";
    const exported = (await import(name)) as { readonly ZipkinPropagator: typeof ZipkinPropagator };
    const propagator = new exported.ZipkinPropagator("b3multi");
    assert.ok(propagator.fields().includes("x-b3-traceid"));
  });

  it("exports nothing by accident", async () => {
    const name = "vitrine/dist/src/errors.js";
    await assert.rejects(import(name), { code: "ERR_PACKAGE_PATH_NOT_EXPORTED" });
  });
});
