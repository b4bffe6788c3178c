import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readResult } from "../../../src/bench/result-file.js";
import { simulatedResult } from "../../support/bench-result.js";

describe("readResult", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "vitrine-result-"));
  });
  after(() => rmSync(folder, { recursive: true }));
  const file = (content: string): string => {
    const path = join(folder, "result.json");
    writeFileSync(path, content);
    return path;
  };

  it("gives back what a benchmark wrote, whole", () => {
    const result = simulatedResult({ failures: 0.1 });
    assert.deepEqual(readResult(file(JSON.stringify(result))), result);
  });

  it("names the file and the field of what is no result", () => {
    const broken = { ...simulatedResult(), points: [{ name: "x" }] };
    assert.throws(
      () => readResult(file(JSON.stringify(broken))),
      /result\.json: not a result .*`points\.0\.load` is wrong/,
    );
    assert.throws(() => readResult(file(JSON.stringify({ ...simulatedResult(), version: 2 }))), /`version` is wrong/);
    assert.throws(
      () => readResult(file("[")),
      /result\.json: is not JSON, or only a part of it; `vitrine bench --json FILE` writes one\.$/,
    );
    assert.throws(() => readResult(folder), /: cannot be read, it is a folder; /);
    assert.throws(
      () => readResult(join(folder, "none.json")),
      /none\.json: cannot be read, there is no such file; `vitrine bench --json FILE` writes one\.$/,
    );
  });
});
