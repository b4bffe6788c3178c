import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { PACKAGE_ROOT } from "../../support/vitrine-process.js";
import { skipped } from "./check-row.js";
import { withoutLibraries } from "./packed.js";
import type { SectionContext } from "./section.js";

export const TORCH = "fp16 PyTorch, 1 stream";
const SCRIPT = join(PACKAGE_ROOT, "test", "gpu", "check", "torch.py");

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
  const { stdout } = await python([SCRIPT, argument]);
  const { tokens_per_second, version } = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Record<string, unknown>;
  tell({ name: TORCH, value: Number(tokens_per_second), unit: `tokens/s, torch ${version}` });
}
