import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { failure, skipped } from "../../gpu/check/check-row.js";
import { CheckReport, type ReportFile, type ReportHead } from "../../gpu/check/report.js";
import { CALL_S, SECTIONS } from "../../gpu/check/sections.js";
import { temporaryFolders } from "../../support/model-fixture.js";

const folder = temporaryFolders();
const HEAD: ReportHead = { command: "check", commit: "abc", date: "2026-01-01", machine: "m" };
const read = (file: string): ReportFile => JSON.parse(readFileSync(file, "utf8")) as ReportFile;

/** A report's file after one section came to its end, and another was stopped in the middle. */
function stopped(head: ReportHead = HEAD): string {
  const file = join(folder(), "report.json");
  const report = new CheckReport(head, file, () => {});
  report.begin("a");
  report.add("a", { name: "speed", value: 1, unit: "tokens/s" });
  report.end("a", 2.04);
  report.begin("b");
  report.add("b", { name: "half", value: 2 });
  return file;
}

describe("the sections of a check", () => {
  it("come to their ends in two calls, the writing of the models included", () => {
    const writing = 30;
    const sum = SECTIONS.reduce((seconds, { limitS }) => seconds + limitS, writing);
    assert.ok(sum <= 2 * CALL_S, `${sum}`);
  });
});

describe("the report of a check", () => {
  it("is in its file row by row", () => {
    const { done, rows, ...head } = read(stopped());
    assert.deepEqual(head, HEAD);
    assert.deepEqual(done, { a: 2 });
    assert.deepEqual(rows, [
      { section: "a", name: "speed", value: 1, unit: "tokens/s" },
      { section: "b", name: "half", value: 2 },
    ]);
  });

  it("goes on with the sections that came to their end", () => {
    const report = new CheckReport({ ...HEAD, date: "2026-01-02" }, stopped());
    assert.equal(report.isDone("a"), false, "nobody asked to go on");
    report.resume();
    assert.deepEqual([report.isDone("a"), report.isDone("b")], [true, false]);
    assert.deepEqual(
      report.rows.map(({ name }) => name),
      ["speed"],
    );
  });

  it("forgets a section that is measured again", () => {
    const file = stopped();
    const report = new CheckReport(HEAD, file, () => {});
    report.resume();
    report.begin("a");
    report.add("a", { name: "speed", value: 3 });
    assert.deepEqual(read(file).done, {});
    assert.deepEqual(
      report.rows.map(({ value }) => value),
      [3],
    );
  });

  it("does not mix what was measured elsewhere, or of other code", () => {
    for (const change of [{ machine: "n" }, { commit: "def" }, { command: "other" }])
      assert.throws(() => new CheckReport({ ...HEAD, ...change }, stopped()).resume(), /report\.json is of another/);
  });

  it("ends with what was met, missed and skipped", () => {
    const report = new CheckReport(HEAD, undefined, () => {});
    report.add("a", { name: "ids", value: 4, unit: "of 4", target: "at least 4", met: true });
    report.add("a", { name: "speed", value: 2, unit: "times", target: "at least 3", met: false });
    report.add("a", failure("cache", "it crashed"));
    report.add("a", skipped("bf16", "no kernels"));
    report.add("a", { name: "seconds", value: 1 });
    const end = [
      "Met: 1 of 3; skipped: 1.",
      "- not met: speed: 2 times, at least 3",
      "- not met: cache: failed: it crashed",
    ];
    assert.ok(report.text().endsWith(`|\n\n${end.join("\n")}`), report.text());
  });
});
