import { VitrineError } from "../../errors.js";
import type { DeviceChoice, Dtype } from "../../protocol.js";
import { dtypesIn, findGraphFile, type GraphFile } from "../files/graph-file.js";
import { readGraph } from "../graph/prepare-graph.js";

/**
 * Throws `model_unsupported` for a graph in bfloat16 where it cannot run, naming what else the directory has. ONNX Runtime
 * 1.30 has kernels for it on CUDA alone (on the CPU for no matrix product), and onnxruntime-node's binding no tensors.
 * @param plain why the native runtime is not to run it, where it is not
 */
export function refuseBfloat16(
  { path, dtype }: GraphFile,
  directory: string,
  { provider, reason }: Pick<DeviceChoice, "provider" | "reason">,
  plain: string | undefined,
): void {
  if (provider === "cuda" && plain === undefined) return;
  const why =
    provider === "cpu"
      ? `it needs CUDA and the native runtime. ${reason}`
      : `it needs the native runtime, as onnxruntime-node's binding has no bfloat16. ${plain}`;
  const others = dtypesIn(directory, provider).filter((other) => other !== dtype && runs(directory, other, provider));
  const cure =
    others.length === 0
      ? "The directory has no other file: export the model in fp16 or fp32."
      : `Of the directory's other files these do: ${others.map((other) => `--dtype ${other}`).join(", ")}.`;
  throw new VitrineError("model_unsupported", `${path} computes in bfloat16: ${why} ${cure}`, { param: "dtype" });
}

/** Its name does not tell: a 4-bit graph may have activations in bfloat16. */
function runs(directory: string, dtype: Dtype, provider: DeviceChoice["provider"]): boolean {
  try {
    return !readGraph(findGraphFile(directory, dtype, provider)).bfloat16;
  } catch {
    return false;
  }
}
