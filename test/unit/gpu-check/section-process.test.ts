import assert from "node:assert/strict";
import { join } from "node:path";
import type { CheckRow } from "../../gpu/check/check-row.js";
import { runSection } from "../../gpu/check/section-process.js";
import { temporaryFolders, writeFiles } from "../../support/model-fixture.js";

const folder = temporaryFolders();
const row = 'require("fs").writeSync(3, JSON.stringify({ name: "a", value: 1 }) + "\\n");';
const end = 'require("fs").writeSync(3, "null\\n");';

async function rowsOf(script: string, limitS = 20): Promise<CheckRow[]> {
  const child = join(writeFiles(folder(), { "child.cjs": Buffer.from(script) }), "child.cjs");
  const rows: CheckRow[] = [];
  await runSection({ section: "s", device: "cpu", model: "" }, limitS, process.env, (one) => rows.push(one), child);
  return rows;
}

describe("a section's process", () => {
  it("tells its rows, whatever it dies of after the last", async () => {
    assert.deepEqual(await rowsOf(`${row} ${end} process.kill(process.pid, "SIGSEGV")`), [{ name: "a", value: 1 }]);
  });

  it("that crashes costs the rows it had not told", async () => {
    const [first, second] = await rowsOf(`${row} throw new Error("no such device")`);
    assert.deepEqual(first, { name: "a", value: 1 });
    assert.equal(second?.met, false);
    assert.match(String(second?.value), /its process ended \(1\): .*no such device/s);
  });

  it("that hangs is ended at its limit", async () => {
    const [only] = await rowsOf("setInterval(() => {}, 1000)", 0.2);
    assert.match(String(only?.value), /it took more than/);
  });
});
