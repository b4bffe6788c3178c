/** Mocha's spec reporter, then each skipped test with its reason, then one line of totals. */
import Mocha from "mocha";
import { skipReason } from "./requirements.js";

export default class SummaryReporter extends Mocha.reporters.Spec {
  private readonly skipped: Mocha.Test[] = [];

  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    runner.on("pending", (test) => this.skipped.push(test));
  }

  override epilogue(): void {
    super.epilogue();
    for (const [reason, tests] of this.skippedByReason()) {
      console.log(`  skipped: ${reason}`);
      for (const test of tests) console.log(`    - ${test.fullTitle()}`);
    }
    if (this.skipped.length > 0) console.log();
    // `failures` counts failed hooks too.
    const { passes, failures } = this.stats;
    console.log(`${passes} passed, ${failures} failed, ${this.skipped.length} skipped`);
  }

  private skippedByReason(): Map<string, Mocha.Test[]> {
    const groups = new Map<string, Mocha.Test[]>();
    for (const test of this.skipped) {
      const reason = skipReason(test);
      groups.set(reason, [...(groups.get(reason) ?? []), test]);
    }
    return groups;
  }
}
