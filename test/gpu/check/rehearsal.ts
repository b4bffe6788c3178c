import { resolveModelDirectory } from "../../../src/runtime/files/model-directory.js";
import { rehearse } from "../../../src/runtime/native/rehearsal.js";
import { explainRehearsal } from "../../../src/runtime/native/rehearsal-check.js";
import { type CheckRow, failure, failureOf, judged, skipped } from "./check-row.js";
import { NO_BFLOAT16 } from "./decoding.js";
import { openRunner, type WantedRunner } from "./runners.js";
import type { SectionContext } from "./section.js";

const MOST_SEQUENCES = 4;

/** What a start on this device would find: by every check, how far the native runtime's ways of running a model are apart. */
export async function rehearseModels({ tell, settings, model }: SectionContext): Promise<void> {
  const tiny = resolveModelDirectory("tiny");
  const models: [string, Pick<WantedRunner, "modelDir" | "dtype">][] = [
    ["tiny fp32", { modelDir: tiny, dtype: "fp32" }],
    ["tiny fp16", { modelDir: tiny, dtype: "fp16" }],
    ["fp16", { modelDir: model, dtype: "fp16" }],
    ["q4f16", { modelDir: model, dtype: "q4f16" }],
    ["bf16", { modelDir: model, dtype: "bf16" }],
  ];
  const common = { device: settings.device, runtime: "native", maxSequences: MOST_SEQUENCES } as const;
  for (const [name, wanted] of models) {
    if (wanted.dtype === "bf16" && settings.device === "cpu") {
      tell(skipped(`${name} rehearsal`, NO_BFLOAT16));
      continue;
    }
    try {
      for (const row of await rehearseOne(name, { ...wanted, ...common })) tell(row);
    } catch (error) {
      tell(failureOf(`${name} rehearsal`, error));
    }
  }
}

async function rehearseOne(name: string, wanted: WantedRunner): Promise<CheckRow[]> {
  const runner = await openRunner(wanted);
  try {
    const start = performance.now();
    const checks = await rehearse(runner, MOST_SEQUENCES);
    const time: CheckRow = {
      name: `${name} rehearsal, before a warm-up`,
      value: performance.now() - start,
      unit: "ms",
    };
    const rows = checks.map((check): CheckRow => {
      const row = `${name} rehearsal: ${check.name}`;
      // A report in JSON has no other numbers.
      if (!Number.isFinite(check.error)) return failure(row, explainRehearsal([check]) ?? "");
      return judged({ name: row, value: check.error, unit: "of the way to another text" }, "at most", check.most);
    });
    return [...rows, time];
  } finally {
    await runner.dispose();
  }
}
