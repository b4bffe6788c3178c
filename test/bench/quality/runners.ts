import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { ModelRunner } from "../../../src/engine/runner.js";
import { VitrineError } from "../../../src/errors.js";
import type { DeviceChoice, Dtype } from "../../../src/protocol.js";
import { type PreparedGraph, prepareGraph, rewriteGraph } from "../../../src/runtime/graph/prepare-graph.js";
import type { Rewrite } from "../../../src/runtime/graph/rewrite.js";
import { findGraphFile, type GraphFile } from "../../../src/runtime/graph-file.js";
import { openModelDirectory } from "../../../src/runtime/model-directory.js";
import { createNativeRunner } from "../../../src/runtime/native-runner.js";
import { createNodeRunner } from "../../../src/runtime/node-runner.js";

/** One of the exported graphs, and what is done to it. */
export interface Variant {
  readonly exporter: "genai" | "optimum";
  readonly dtype: Dtype;
  /** Nothing but these, or what a server does by default. */
  readonly rewrites: readonly Rewrite[] | "served";
}

function cpu(kind: "native" | "node"): DeviceChoice {
  const reason = "The benchmark asks for it.";
  return { requested: "cpu", provider: "cpu", reason, runtime: { requested: "auto", kind, reason } };
}

/** The runner that serves: the native one, or the plain one where that cannot run the graph. */
export async function openRunner(folder: string, variant: Variant, maxSequences: number): Promise<ModelRunner> {
  const directory = openModelDirectory(join(folder, variant.exporter));
  const graph = prepare(findGraphFile(directory.path, variant.dtype, "cpu"), variant.rewrites);
  const options = { directory, graph, threads: availableParallelism(), maxSequences };
  try {
    return await createNativeRunner({ ...options, device: cpu("native") });
  } catch (error) {
    if (!(error instanceof VitrineError) || error.code !== "model_unsupported") throw error;
    return createNodeRunner({ ...options, device: cpu("node") });
  }
}

function prepare(file: GraphFile, rewrites: Variant["rewrites"]): PreparedGraph {
  return rewrites === "served" ? prepareGraph(file) : rewriteGraph(file, rewrites);
}
