/** The check of a GPU as a user starts it, on the CPU. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { probeCuda } from "../../src/runtime/device.js";
import { temporaryFolders } from "../support/model-fixture.js";
import { requirePart } from "../support/requirements.js";

const MAIN = fileURLToPath(new URL("../gpu/check/main.js", import.meta.url));
const folder = temporaryFolders();

const check = (...flags: string[]) =>
  spawnSync(process.execPath, [MAIN, ...flags], { encoding: "utf8", timeout: 60_000 });

describe("gpu:check", function () {
  this.timeout(60_000);

  it("says in one line what is missing where there is no GPU", function () {
    const { library, device } = probeCuda();
    const available = library !== undefined || device !== undefined;
    requirePart(this, { name: "a machine without a GPU", available, why: "it has one", mandatoryInCi: false });
    const { status, stdout, stderr } = check();
    assert.equal(status, 1);
    assert.equal(stdout, "");
    assert.match(stderr, /^No GPU can be checked here: .+ Rehearse with --device cpu\.\n$/);
  });

  it("rehearses on the CPU, and keeps the rows in a file", () => {
    const file = join(folder(), "report.json");
    const { status, stdout, stderr } = check("--device", "cpu", "--only", "fp16 n", "--json", file);
    assert.equal(status, 0, stderr);
    const { rows } = JSON.parse(readFileSync(file, "utf8")) as { rows: { name: string; value: unknown }[] };
    const names = rows.map(({ name }) => name);
    for (const runtime of ["native", "node"])
      assert.ok(names.includes(`fp16 ${runtime}, 16 streams`), names.join("\n"));
    const ratio = rows.find(({ name }) => name === "fp16 native, 16 streams: over node");
    assert.ok(Number(ratio?.value) > 0);
    assert.match(stdout, /\| fp16 native, 64 streams \| [\d.]+ tokens\/s \|/);
  });

  it("finds in a cache what was put there, after moves and growth", () => {
    const { status, stdout, stderr } = check("--device", "cpu", "--only", "cache moves");
    assert.equal(status, 0, stderr);
    assert.match(stdout, /\| cache: wrong tokens after that \| 0 \| at most 0 \| yes \|/);
    assert.match(stdout, /\| cache: two rows of a full context exchanged \| [\d.]+ us \|/);
  });

  it("ends with 1 where an answer is missing", () => {
    const { status, stdout } = check("--device", "cpu", "--only", "device memory", "--within", "0");
    assert.equal(status, 1);
    assert.match(stdout, /\| device memory \| failed: no time was left \| {2}\| NO \|/);
  });
});
