import type { ModelRunner, RunnerRow } from "../../src/engine/runner.js";

/** Runs the rows and gives all logits of each. */
export async function runLogits(runner: ModelRunner, rows: readonly RunnerRow[]): Promise<readonly Float32Array[]> {
  return (await runner.run(rows)).map((logits) => logits.all());
}
