import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkOutputs, writeOutputs } from "../../../src/cli/bench-outputs.js";
import { simulatedResult } from "../../support/bench-result.js";

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
      ["json", join(folder, "missing", "a.json"), `there is no folder ${join(folder, "missing")}`],
      ["html", folder, "it is a folder"],
      ["svg", join(file, "a.svg"), `there is no folder ${file}`],
    ] as const) {
      assert.throws(
        () => checkOutputs({ [kind]: path }),
        (error: Error) => error.message.startsWith(`--${kind}: ${path} cannot be written, ${why}: `),
      );
    }
  });

  it("leave the table where one of them cannot be written after all", () => {
    const tables: string[] = [];
    const { log } = console;
    console.log = (text: string) => void tables.push(text);
    try {
      assert.throws(() => writeOutputs(simulatedResult(), { json: "/dev/full" }), {
        code: "config_invalid",
        message: /^--json: \/dev\/full cannot be written, its disk is full: /,
      });
    } finally {
      console.log = log;
    }
    assert.match(tables.join(""), /ttft/i);
  });
});
