import assert from "node:assert/strict";
import { Command } from "commander";
import { addCapacity } from "../../../src/cli/bench-capacity.js";

describe("options of vitrine bench plan", () => {
  const planning = async (...flags: string[]): Promise<void> => {
    const bench = new Command().exitOverride().configureOutput({ writeErr: () => {} });
    addCapacity(bench);
    for (const command of bench.commands) command.exitOverride().configureOutput({ writeErr: () => {} });
    await bench.parseAsync(["plan", "/nowhere/traces.json", ...flags], { from: "user" });
  };

  it("want a limit: without one, any load is within it", async () => {
    await assert.rejects(planning("--rate", "20"), /required option '--slo/);
  });

  it("take several limits, of what a plan can tell", async () => {
    await assert.rejects(planning("--rate", "20", "--slo", "ttft:1s", "--slo", "tpot:50ms"), /traces\.json/);
    await assert.rejects(planning("--rate", "20", "--slo", "itl:50ms"), /ttft, tpot and e2e only/);
  });
});
