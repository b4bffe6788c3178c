import { dirname } from "node:path";
import type { ModelRunner } from "../../../src/engine/runner.js";
import type { Dtype } from "../../../src/protocol.js";
import { type ParityCase, type ParityGraph, parityGraphs } from "../../integration/parity-fixtures.js";
import { type CheckRow, failureOf, judged, skipped } from "./check-row.js";
import { type CheckedRuntime, NO_BFLOAT16 } from "./decoding.js";
import { openRunner, type WantedRunner } from "./runners.js";
import type { SectionContext } from "./section.js";

interface Exported {
  readonly graph: string;
  readonly dtype: Dtype;
  readonly runtimes: readonly CheckedRuntime[];
}

const BOTH = ["native", "node"] as const;
/** What onnxruntime-genai's builder makes for CUDA; onnxruntime-node's binding has no bfloat16. */
const EXPORTED: readonly Exported[] = [
  { graph: "llama/genai/model_fp16.onnx", dtype: "fp16", runtimes: BOTH },
  { graph: "llama/genai/model_q4f16.onnx", dtype: "q4f16", runtimes: BOTH },
  { graph: "llama/genai/model_bf16.onnx", dtype: "bf16", runtimes: ["native"] },
  { graph: "llama/genai-bf16/model_q4.onnx", dtype: "q4", runtimes: ["native"] },
];
/** Where they and what was recorded of them lie in a checkout. */
export const EXPORTED_FILES = ["llama/pytorch.json", ...new Set(EXPORTED.map(({ graph }) => dirname(graph)))].map(
  (name) => `test/fixtures/parity/${name}`,
);

/** Graphs of a real exporter give the ids that were recorded for them, each of which led by far. */
export async function compareExported({ settings: { device }, tell }: SectionContext): Promise<void> {
  const fixtures = new Map(parityGraphs().map((fixture) => [fixture.name, fixture]));
  for (const { graph, dtype, runtimes } of EXPORTED) {
    const fixture = fixtures.get(graph) as ParityGraph;
    for (const runtime of runtimes) {
      const name = `${graph} ${runtime}, ids as recorded`;
      if (runtimes !== BOTH && device === "cpu") tell(skipped(name, NO_BFLOAT16));
      else tell(await sameIds(name, fixture, { dtype, device, runtime }));
    }
  }
}

async function sameIds(
  name: string,
  { directory, cases }: ParityGraph,
  how: Pick<WantedRunner, "dtype" | "device" | "runtime">,
): Promise<CheckRow> {
  try {
    const runner = await openRunner({ modelDir: directory, maxSequences: 1, ...how });
    let equal = 0;
    for (const recorded of cases) equal += await equalIds(runner, recorded);
    await runner.dispose();
    const all = cases.reduce((sum, { ids }) => sum + ids.length, 0);
    return judged({ name, value: equal, unit: `of ${all} tokens` }, "at least", all);
  } catch (error) {
    return failureOf(name, error);
  }
}

/** Until the first that is another. */
async function equalIds(runner: ModelRunner, { prompt, ids }: ParityCase): Promise<number> {
  let tokens = Int32Array.from(prompt);
  let past = 0;
  for (const [index, id] of ids.entries()) {
    const [logits] = await runner.run([{ slot: 0, tokens, past }]);
    const row = logits?.all() ?? new Float32Array();
    if (row.indexOf(Math.max(...row)) !== id) return index;
    past += tokens.length;
    tokens = Int32Array.of(id);
  }
  return ids.length;
}
