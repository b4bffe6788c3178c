import type { RehearsingRunner } from "../../../src/runtime/native/rehearsal.js";
import { judged } from "./check-row.js";
import { openRunner } from "./runners.js";
import type { SectionContext } from "./section.js";

/** Of prompts, shortest first; each is one run. */
const LENGTHS = Array.from({ length: 15 }, (_, index) => 33 + 7 * index);
/** A kernel that is planned or compiled for a length takes far longer than it runs. */
const MOST = 3;

/** Whether a prompt of a length that was never run costs more than the same one again: a service sees all lengths. */
export async function measurePromptLengths({ settings: { device }, model, tell }: SectionContext): Promise<void> {
  const runner = await openRunner({ modelDir: model, dtype: "fp16", device, runtime: "native", maxSequences: 1 });
  // What any first run costs is not measured, nor growing.
  runner.reserve(1, 256);
  await promptMs(runner, 31);
  const ratios: number[] = [];
  for (const length of LENGTHS) {
    const first = await promptMs(runner, length);
    ratios.push(first / (await promptMs(runner, length)));
  }
  const [median] = ratios.sort((a, b) => a - b).slice(ratios.length >> 1) as [number];
  const name = "fp16 native, a prompt of a new length: over the same again, median";
  tell(judged({ name, value: median, unit: "times" }, "at most", MOST));
  await runner.dispose();
}

async function promptMs(runner: RehearsingRunner, length: number): Promise<number> {
  const tokens = Int32Array.from({ length }, (_, at) => (at * 7919) % runner.model.vocabSize);
  const start = performance.now();
  await runner.run([{ slot: 0, tokens, past: 0 }]);
  return performance.now() - start;
}
