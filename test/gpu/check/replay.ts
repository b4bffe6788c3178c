import type { RehearsingRunner } from "../../../src/runtime/native/rehearsal.js";
import { type CheckRow, judged, skipped } from "./check-row.js";
import { EngineStreams } from "./engine-streams.js";
import { openRunner } from "./runners.js";
import type { SectionContext } from "./section.js";

/** Batches whose ids are compared: sizes that are captured as they are, so that both ways run the same kernels. */
const COMPARED = [1, 4];
const PROMPT_TOKENS = 5;
/** More than it takes until a batch size is replayed. */
export const SETTLING_STEPS = 24;

/** Decode steps as CUDA graphs against steps that are launched kernel by kernel, in turns: tokens a second, and the ids. */
export async function measureReplay({ settings, model, tell }: SectionContext): Promise<void> {
  const { device, streams, context, steps, greedyTokens } = settings;
  const maxSequences = Math.max(...streams);
  const wanted = { modelDir: model, dtype: "fp16", device, runtime: "native", maxSequences } as const;
  const [replaying, plain] = [await openRunner(wanted), await openRunner({ ...wanted, replay: false })];
  for (const count of COMPARED) {
    const name = `fp16, ${count} side by side: ids of replayed steps equal to plain ones`;
    const [ids, expected] = [await greedy(replaying, count, greedyTokens), await greedy(plain, count, greedyTokens)];
    const value = ids.filter((id, index) => id === expected[index]).length;
    tell(judged({ name, value, unit: `of ${expected.length} tokens` }, "at least", expected.length));
  }
  const engines = {
    replayed: new EngineStreams(replaying, maxSequences),
    plain: new EngineStreams(plain, maxSequences),
  };
  for (const count of streams) {
    const speed = { replayed: 0, plain: 0 };
    for (const [way, engine] of Object.entries(engines) as [keyof typeof engines, EngineStreams][]) {
      await engine.measure(count, context, Math.min(steps, SETTLING_STEPS));
      speed[way] = (await engine.measure(count, context, steps)).tokensPerSecond;
      tell({ name: `fp16 ${way} steps, ${count} side by side`, value: speed[way], unit: "tokens/s" });
    }
    tell({
      name: `fp16, ${count} side by side: replayed over plain`,
      value: speed.replayed / speed.plain,
      unit: "times",
    });
  }
  tell(stateOf(replaying));
}

/** Last of all, for what went wrong meanwhile. On the CPU there is nothing to say. */
function stateOf({ device }: RehearsingRunner): CheckRow {
  const { replay } = device;
  const name = "fp16: replay";
  if (replay === undefined) return skipped(name, "on the CPU there is nothing to replay");
  return { name, value: replay.reason, target: "on", met: replay.on };
}

/** Ids of sequences that decode together, step after step. */
async function greedy(runner: RehearsingRunner, sequences: number, steps: number): Promise<number[]> {
  const { vocabSize } = runner.model;
  const chosen: number[] = [];
  const slots = Array.from({ length: sequences }, (_, slot) => slot);
  let feeds = slots.map((slot) =>
    Int32Array.from({ length: PROMPT_TOKENS + slot }, (_, at) => (at * 7919 + slot) % vocabSize),
  );
  const held = slots.map(() => 0);
  runner.reserve(sequences, PROMPT_TOKENS + sequences + steps);
  for (let step = 0; step < steps; step++) {
    const rows = await runner.run(
      slots.map((slot) => ({ slot, tokens: feeds[slot] as Int32Array, past: held[slot] as number })),
    );
    for (const slot of slots) held[slot] = (held[slot] as number) + (feeds[slot] as Int32Array).length;
    const best = rows.map((row) => {
      const logits = row.all();
      return logits.indexOf(logits.reduce((most, value) => Math.max(most, value)));
    });
    chosen.push(...best);
    feeds = best.map((id) => Int32Array.of(id));
  }
  for (const slot of slots) runner.release(slot);
  return chosen;
}
