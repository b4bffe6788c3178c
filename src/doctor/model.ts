import type { DeviceChoice, Dtype } from "../protocol.js";
import { findGraphFile, type GraphFile } from "../runtime/files/graph-file.js";
import type { ModelConfig } from "../runtime/files/model-config.js";
import { type ModelDirectory, openModelDirectory, resolveModelDirectory } from "../runtime/files/model-directory.js";
import { readGraph } from "../runtime/graph/prepare-graph.js";
import { refuseBfloat16 } from "../runtime/load/bfloat16-support.js";
import { loadChatTemplate } from "../runtime/text/chat-template.js";
import { loadTokenizer } from "../runtime/text/tokenizer.js";
import { type Finding, ok, problem, size, warning } from "./finding.js";

export interface ModelQuestion {
  /** As `--model` has it. */
  readonly model: string;
  readonly dtype: Dtype | "auto";
  readonly provider: DeviceChoice["provider"];
  /** Bytes that the device has in all, and free; undefined where nobody tells. */
  readonly memory: { readonly total: number; readonly free: number } | undefined;
  /** `--kv-memory`, or what the machine's default comes to; `gpuShare` where it is what that share of the GPU leaves. */
  readonly kvMemory: { readonly bytes: number } | { readonly gpuShare: number };
}

/** The directory's files, and whether they fit the device. */
export async function checkModel(question: ModelQuestion): Promise<Finding[]> {
  try {
    const directory = openModelDirectory(resolveModelDirectory(question.model));
    const { file: graph, bfloat16 } = readGraph(findGraphFile(directory.path, question.dtype, question.provider));
    const reason = "This service would run on the CPU.";
    if (bfloat16) refuseBfloat16(graph, directory.path, { provider: question.provider, reason }, undefined);
    const what = `${directory.name} in ${directory.path}: ${directory.config.architecture}, ${graph.dtype}, ${size(graph.weightBytes)}`;
    return [ok(what), ...(await textFiles(directory)), ...fits(directory.config, graph, question)];
  } catch (error) {
    return [asFinding(error)];
  }
}

async function textFiles({ path }: ModelDirectory): Promise<Finding[]> {
  const found: Finding[] = [];
  try {
    const { vocabSize } = await loadTokenizer(path);
    found.push(ok(`its tokenizer loads: ${vocabSize} tokens`));
  } catch (error) {
    found.push(asFinding(error));
  }
  try {
    loadChatTemplate(path);
  } catch (error) {
    found.push(asFinding(error));
  }
  return found;
}

function fits(config: ModelConfig, graph: GraphFile, { memory, kvMemory, provider }: ModelQuestion): Finding[] {
  const found: Finding[] = [];
  const place = provider === "cuda" ? "GPU memory" : "memory";
  const smaller = "Take a smaller dtype (--dtype q4) or model, or a device with more memory.";
  if (memory !== undefined) {
    const needs = `its weights take ${size(graph.weightBytes)}`;
    if (graph.weightBytes > memory.total) {
      found.push(problem(`${needs}, and there are ${size(memory.total)} of ${place}`, smaller));
    } else if (graph.weightBytes > memory.free) {
      const cure = `End what else uses the ${place}, or take a smaller dtype or model.`;
      found.push(warning(`${needs}, and ${size(memory.free)} of ${place} are free`, cure));
    } else {
      found.push(ok(`${needs} of ${size(memory.free)} of ${place} free`));
    }
  }
  const context = kvBytes(config, graph.dtype) * config.contextLength;
  const left = "bytes" in kvMemory ? kvMemory.bytes : leftOf(memory, kvMemory.gpuShare, graph.weightBytes);
  if (left === undefined || context <= left) return found;
  const what = `one sequence of the whole context (${config.contextLength} tokens) needs ${size(context)} of KV cache, and it may have ${size(left)}`;
  return [
    ...found,
    "bytes" in kvMemory
      ? warning(what, "Raise --kv-memory where longer prompts than fit are expected.")
      : problem(
          what,
          "Raise --gpu-memory-utilization, take a smaller dtype, or give --kv-memory to serve shorter sequences.",
        ),
  ];
}

/** About what the engine will find left once the model is loaded; undefined where nobody tells. */
function leftOf(memory: ModelQuestion["memory"], share: number, weights: number): number | undefined {
  return memory && Math.max(0, Math.floor(memory.total * share) - (memory.total - memory.free) - weights);
}

const HALF_DTYPES: ReadonlySet<Dtype> = new Set(["fp16", "bf16", "q4f16"]);

/** Of one token; 0 where config.json does not tell. Half-precision files keep the cache in half precision, too. */
function kvBytes({ layers, kvHeads, headDim }: ModelConfig, dtype: Dtype): number {
  const element = HALF_DTYPES.has(dtype) ? 2 : 4;
  return 2 * (layers ?? 0) * (kvHeads ?? 0) * (headDim ?? 0) * element;
}

/** Messages of the error table say what is wrong and mostly how to mend it. */
function asFinding(error: unknown): Finding {
  const what = error instanceof Error ? error.message : String(error);
  return problem(what.replace(/\.$/, ""), 'README.md, "Your own model", says what a model\'s directory holds.');
}
