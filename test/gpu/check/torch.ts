import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { PACKAGE_ROOT } from "../../support/vitrine-process.js";
import { failureOf, skipped } from "./check-row.js";
import { withoutLibraries } from "./packed.js";
import type { SectionContext } from "./section.js";

export const TORCH = "fp16 PyTorch, 1 stream";
/** As it lies in a checkout. Python looks beside a script for modules first: its name must be none of theirs. */
export const TORCH_SCRIPT = "test/gpu/check/pytorch_generate.py";

/** transformers' `generate` where Python has it; its weights are random, too, of the same shape. */
export async function compareWithTorch({ settings, tell }: SectionContext): Promise<void> {
  const { device, shape, context, steps } = settings;
  // PyTorch comes with CUDA libraries of its own.
  const env = withoutLibraries(process.env);
  const python = (args: string[]) => promisify(execFile)("python3", args, { env });
  try {
    await python(["-c", "import torch, transformers"]);
  } catch {
    tell(skipped(TORCH, "python3 has no PyTorch with transformers here"));
    return;
  }
  const argument = JSON.stringify([shape, context, steps, device]);
  try {
    const { stdout } = await python([join(PACKAGE_ROOT, TORCH_SCRIPT), argument]);
    const { tokens_per_second, version } = JSON.parse(lastLine(stdout)) as Record<string, unknown>;
    tell({ name: TORCH, value: Number(tokens_per_second), unit: `tokens/s, torch ${version}` });
  } catch (error) {
    // Of a traceback the last line says what went wrong.
    const { stderr = "" } = error as { stderr?: string };
    tell(failureOf(TORCH, lastLine(stderr) || error));
  }
}

const lastLine = (text: string): string => text.trim().split("\n").at(-1) ?? "";
