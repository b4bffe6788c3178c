import assert from "node:assert/strict";
import Mocha from "mocha";
import SummaryReporter from "../../support/reporter.js";
import { requirePart } from "../../support/requirements.js";

const missing = { name: "a GPU", available: false, why: "there is none.", mandatoryInCi: false };

/** What a run of the suite prints, line by line. */
async function report(fill: (suite: Mocha.Suite) => void): Promise<readonly string[]> {
  const mocha = new Mocha({ reporter: SummaryReporter as unknown as Mocha.ReporterConstructor, color: false });
  fill(Mocha.Suite.create(mocha.suite, "machine"));
  const lines: string[] = [];
  const { log } = console;
  const base = Mocha.reporters.Base as unknown as { consoleLog: typeof console.log };
  const { consoleLog } = base;
  console.log = (line = "") => lines.push(String(line));
  base.consoleLog = () => {};
  try {
    await new Promise((resolve) => mocha.run(resolve));
  } finally {
    console.log = log;
    base.consoleLog = consoleLog;
  }
  return lines;
}

describe("summary reporter", () => {
  it("ends with the totals, after each skipped test and its reason", async () => {
    const lines = await report((suite) => {
      suite.addTest(new Mocha.Test("works", () => {}));
      suite.addTest(new Mocha.Test("breaks", () => assert.fail("on purpose")));
      suite.addTest(
        new Mocha.Test("computes", function (this: Mocha.Context) {
          requirePart(this, missing, {});
        }),
      );
      suite.addTest(new Mocha.Test("is not written yet"));
    });
    assert.equal(lines.at(-1), "1 passed, 1 failed, 2 skipped");
    const reason = lines.indexOf("  skipped: needs a GPU: there is none.");
    assert.equal(lines[reason + 1], "    - machine computes");
    const noReason = lines.indexOf("  skipped: no reason given");
    assert.equal(lines[noReason + 1], "    - machine is not written yet");
  });

  it("gives every test of a suite the reason of the suite's hook", async () => {
    const lines = await report((suite) => {
      suite.beforeAll(function () {
        requirePart(this, missing, {});
      });
      suite.addTest(new Mocha.Test("one", () => {}));
      suite.addTest(new Mocha.Test("two", () => {}));
    });
    assert.equal(lines.at(-1), "0 passed, 0 failed, 2 skipped");
    assert.ok(lines.includes("    - machine two"));
    assert.ok(!lines.includes("  skipped: no reason given"));
  });

  it("counts a failed hook as failed", async () => {
    const lines = await report((suite) => {
      suite.beforeAll(() => assert.fail("on purpose"));
      suite.addTest(new Mocha.Test("never runs", () => {}));
    });
    assert.equal(lines.at(-1), "0 passed, 1 failed, 0 skipped");
  });

  it("fails instead of skipping where continuous integration demands the part", async () => {
    const lines = await report((suite) => {
      suite.addTest(
        new Mocha.Test("computes", function (this: Mocha.Context) {
          requirePart(this, { ...missing, mandatoryInCi: true }, { CI: "true" });
        }),
      );
    });
    assert.equal(lines.at(-1), "0 passed, 1 failed, 0 skipped");
  });
});
