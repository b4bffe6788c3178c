import assert from "node:assert/strict";
import { diagnosisText, verdictOf } from "../../../src/cli/diagnosis.js";
import type { Examination } from "../../../src/doctor/examine.js";
import { ok, problem, warning } from "../../../src/doctor/finding.js";

const PLAIN = { width: 60, color: false };
const WELL: Examination = { subject: "Node", findings: [ok("v22"), ok("threads")] };
const ILL: Examination = {
  subject: "Ports",
  findings: [problem("127.0.0.1:8080 is taken by a program with quite a long name", "End it.")],
};
const SO_SO: Examination = { subject: "Memory", findings: [warning("little", "Get more.")] };

describe("diagnosis", () => {
  it("has a column of subjects, marks, and cures below what they cure", () => {
    assert.equal(
      diagnosisText([WELL, ILL, SO_SO], PLAIN),
      `Node    ✓ v22
        ✓ threads
Ports   ✗ 127.0.0.1:8080 is taken by a program with quite a
          long name
          End it.
Memory  ! little
          Get more.

Not ready to serve: 1 problem, 1 warning.`,
    );
  });

  it("sums up", () => {
    assert.deepEqual(verdictOf([WELL, SO_SO]), { healthy: true, problems: 0, warnings: 1 });
    assert.match(diagnosisText([WELL], PLAIN), /\nReady to serve\.$/);
    assert.match(diagnosisText([WELL, SO_SO], PLAIN), /\nReady to serve \(1 warning\)\.$/);
  });

  it("has colours where they are wanted, and only there", () => {
    assert.ok(!diagnosisText([WELL, ILL], PLAIN).includes("\u001b"));
    const colored = diagnosisText([WELL, ILL], { width: 60, color: true });
    assert.ok(colored.includes("\u001b[32m✓\u001b[0m"));
    assert.ok(colored.includes("\u001b[31m✗\u001b[0m"));
  });
});
