import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { PACKAGE_ROOT } from "../../support/vitrine-process.js";
import type { SectionContext } from "./section.js";

export const TORCH = "fp16 PyTorch, 1 stream";
const SCRIPT = join(PACKAGE_ROOT, "test", "gpu", "check", "torch.py");

/** transformers' `generate` where Python has it; its weights are random, too, of the same shape. */
export async function compareWithTorch({ settings, tell }: SectionContext): Promise<void> {
  const { device, shape, context, steps } = settings;
  const python = promisify(execFile);
  try {
    await python("python3", ["-c", "import torch, transformers"]);
  } catch {
    tell({ name: TORCH, value: "no PyTorch with transformers here" });
    return;
  }
  const argument = JSON.stringify([shape, context, steps, device]);
  const { stdout } = await python("python3", [SCRIPT, argument]);
  const { tokens_per_second, version } = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Record<string, unknown>;
  tell({ name: TORCH, value: Number(tokens_per_second), unit: `tokens/s, torch ${version}` });
}
