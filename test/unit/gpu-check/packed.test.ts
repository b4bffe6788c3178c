import assert from "node:assert/strict";
import { join } from "node:path";
import { withLibraries, withoutLibraries } from "../../gpu/check/packed.js";
import { PACKAGE_ROOT } from "../../support/vitrine-process.js";

const PACKED = join(PACKAGE_ROOT, "cuda");

describe("CUDA's libraries of an archive", () => {
  it("are not named where there are none, as in a checkout", () => {
    assert.deepEqual(withLibraries({ A: "1" }), { A: "1" });
    assert.equal(withLibraries({ LD_LIBRARY_PATH: "/a:/b" }).LD_LIBRARY_PATH, "/a:/b");
  });

  it("are taken from what has its own, and nothing else is", () => {
    assert.equal(withoutLibraries({ LD_LIBRARY_PATH: `${PACKED}:/a` }).LD_LIBRARY_PATH, "/a");
    assert.equal(withoutLibraries({ LD_LIBRARY_PATH: PACKED }).LD_LIBRARY_PATH, undefined);
  });
});
