import type { HalfDtype } from "../../bench/model/bench-models.js";
import { nativeBusBytes, nodeBusBytes } from "./bus-bytes.js";
import { type CheckRow, skipped } from "./check-row.js";
import { EngineStreams, type StreamsMeasure } from "./engine-streams.js";
import { watched } from "./gpu-load.js";
import { SETTLING_STEPS } from "./replay.js";
import { openRunner, type WantedRunner } from "./runners.js";
import type { SectionContext } from "./section.js";

export type CheckedRuntime = WantedRunner["runtime"];

/** Of a logit: those of bf16 are given in single precision. */
const LOGIT_BYTES: Readonly<Record<HalfDtype, number>> = { fp16: 2, q4f16: 2, bf16: 4 };
/** In place of what a rehearsal cannot measure. */
export const NO_BFLOAT16 = "the CPU has no kernels for bfloat16";

export const decodingName = (dtype: HalfDtype, runtime: CheckedRuntime, streams: number): string =>
  `${dtype} ${runtime}, ${streams} stream${streams === 1 ? "" : "s"}`;
export const stepName = (name: string): string => `${name}: one step`;
export const engineShareName = (name: string): string => `${name}: engine's share of it`;

/** Streams side by side through the engine, and what they do to the bus, the cache and the GPU meanwhile. */
export async function measureDecoding(
  context: SectionContext,
  dtype: HalfDtype,
  runtime: CheckedRuntime,
): Promise<void> {
  const { settings, model, tell } = context;
  const { device, streams } = settings;
  if (dtype === "bf16" && device === "cpu") return tell(skipped(`${dtype} ${runtime}`, NO_BFLOAT16));
  const steps = runtime === "native" ? settings.steps : settings.nodeSteps;
  const maxSequences = Math.max(...streams);
  const runner = await openRunner({ modelDir: model, dtype, device, runtime, maxSequences });
  const engine = new EngineStreams(runner, maxSequences);
  // What is compiled or allocated at the first steps is not measured.
  await engine.measure(1, 8, settings.steps);
  for (const count of streams) {
    const name = decodingName(dtype, runtime, count);
    if (runner.replay !== undefined) await engine.measure(count, settings.context, SETTLING_STEPS);
    const { result, rows } = await watched(device, name, () => engine.measure(count, settings.context, steps));
    tell({ name, value: result.tokensPerSecond, unit: "tokens/s" });
    tell({ name: stepName(name), value: result.stepMs, unit: "ms" });
    tell({ name: engineShareName(name), value: 100 * result.engineShare, unit: "%" });
    const size = { rows: count, context: settings.context };
    const bytes = (runtime === "native" ? nativeBusBytes : nodeBusBytes)(runner.model, size, LOGIT_BYTES[dtype]);
    tell({ name: `${name}: bytes over the bus a step (computed)`, value: bytes, unit: "bytes" });
    if (runtime === "native") for (const row of [...cacheRows(name, result), ...rows]) tell(row);
  }
}

function cacheRows(name: string, { allocation, growths }: StreamsMeasure): CheckRow[] {
  const { tokens, bytes, start, end } = allocation;
  const grew = growths.reduce((sum, growth) => sum + growth.end - growth.start, 0) / 1000;
  const most = Math.max(allocation.poolBytes, ...growths.map(({ toBytes }) => toBytes));
  const refused = growths.filter((growth) => growth.refused !== undefined).length;
  return [
    { name: `${name}: KV cache of one stream`, value: bytes, unit: `bytes for ${tokens} tokens` },
    { name: `${name}: time to reserve it`, value: (end - start) / 1000, unit: "ms" },
    { name: `${name}: KV cache of all`, value: most, unit: "bytes allocated" },
    { name: `${name}: time to grow it`, value: grew, unit: `ms, ${growths.length} times, ${refused} refused` },
  ];
}
