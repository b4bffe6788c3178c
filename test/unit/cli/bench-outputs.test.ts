import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkOutputs } from "../../../src/cli/bench-outputs.js";

describe("files that a benchmark is to write", () => {
  const folder = mkdtempSync(join(tmpdir(), "vitrine-outputs-"));
  after(() => rmSync(folder, { recursive: true }));

  it("may be new or there already, and are not made before there is something to write", () => {
    const csv = join(folder, "there.csv");
    writeFileSync(csv, "");
    checkOutputs({ json: join(folder, "new.json"), csv });
    assert.deepEqual(readdirSync(folder), ["there.csv"]);
  });

  it("are refused by the name of the option before the run: a folder that is missing, a folder, a file as a folder", () => {
    const file = join(folder, "file");
    writeFileSync(file, "");
    for (const [kind, path, why] of [
      ["json", join(folder, "missing", "a.json"), "ENOENT"],
      ["html", folder, "EISDIR"],
      ["svg", join(file, "a.svg"), "ENOTDIR"],
    ] as const) {
      assert.throws(
        () => checkOutputs({ [kind]: path }),
        (error: Error) => error.message.startsWith(`--${kind}: ${path} cannot be written (${why})`),
      );
    }
  });
});
