import { halfWeightBytes } from "../../bench/model/bench-models.js";
import { BANDWIDTH } from "./bandwidth.js";
import { type CheckRow, judged } from "./check-row.js";
import { decodingName, engineShareName, stepName } from "./decoding.js";
import { TRACING } from "./service.js";
import type { CheckSettings } from "./settings.js";
import { TORCH } from "./torch.js";

const HALF_BYTES = 2;
/** Least speed over the node runner's, and least share of what the memory allows, by streams. */
const OVER_NODE: ReadonlyMap<number, number> = new Map([
  [1, 3],
  [16, 10],
]);
const OF_BOUND: ReadonlyMap<number, number> = new Map([
  [1, 50],
  [64, 70],
]);
const OVER_TORCH = 3;
const MOST_OVERHEAD = 10;

/** What follows of measured rows, where all that it needs was measured. */
export function ratioRows(measured: readonly CheckRow[], settings: CheckSettings): CheckRow[] {
  const values = new Map(measured.map(({ name, value }) => [name, typeof value === "number" ? value : Number.NaN]));
  const of = (name: string): number => values.get(name) ?? Number.NaN;
  const rows = [...speeds(of, settings), ...bounds(of, settings), ...overheads(of)];
  const known = rows.filter(({ value }) => !Number.isNaN(value));
  // A rehearsal has nothing to reach.
  return settings.device === "cpu" ? known.map(({ name, value, unit = "" }) => ({ name, value, unit })) : known;
}

type Measured = (name: string) => number;
type NumberRow = CheckRow & { readonly value: number };

function speeds(of: Measured, { streams }: CheckSettings): NumberRow[] {
  const overNode = (["fp16", "q4f16"] as const).flatMap((dtype) =>
    streams.map((count) => {
      const name = `${decodingName(dtype, "native", count)}: over node`;
      const value = of(decodingName(dtype, "native", count)) / of(decodingName(dtype, "node", count));
      return atLeast({ name, value, unit: "times" }, OVER_NODE.get(count));
    }),
  );
  const value = of(decodingName("fp16", "native", 1)) / of(TORCH);
  return [...overNode, atLeast({ name: "fp16 native, 1 stream: over PyTorch", value, unit: "times" }, OVER_TORCH)];
}

/** Weights are read once a step, every stream's cache once; the device reads and writes a copy as fast. */
function bounds(of: Measured, { shape, streams, context, steps }: CheckSettings): NumberRow[] {
  const kvBytes = shape.layers * 2 * shape.kvHeads * shape.headDim * HALF_BYTES;
  return (["fp16", "q4f16", "bf16"] as const).flatMap((dtype) =>
    streams.map((count) => {
      const bytes = halfWeightBytes(shape, dtype) + count * (context + steps / 2) * kvBytes;
      const leastMs = bytes / 1e6 / of(BANDWIDTH);
      const value = (100 * leastMs) / of(stepName(decodingName(dtype, "native", count)));
      const name = `${decodingName(dtype, "native", count)}: of the memory's bound`;
      return atLeast({ name, value, unit: "%" }, OF_BOUND.get(count));
    }),
  );
}

function overheads(of: Measured): NumberRow[] {
  const engine = of(engineShareName(decodingName("fp16", "native", 16)));
  const name = "fp16 native, 16 streams: engine and tracing";
  return [judged({ name, value: engine + of(TRACING), unit: "% of a step" }, "at most", MOST_OVERHEAD) as NumberRow];
}

function atLeast(row: { name: string; value: number; unit: string }, target: number | undefined): NumberRow {
  return target === undefined ? row : (judged(row, "at least", target) as NumberRow);
}
