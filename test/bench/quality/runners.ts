import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { ModelRunner } from "../../../src/engine/runner.js";
import type { DeviceChoice, Dtype } from "../../../src/protocol.js";
import { findGraphFile, type GraphFile } from "../../../src/runtime/files/graph-file.js";
import { openModelDirectory } from "../../../src/runtime/files/model-directory.js";
import { type PreparedGraph, prepareGraph, readGraph, rewriteWith } from "../../../src/runtime/graph/prepare-graph.js";
import type { Rewrite } from "../../../src/runtime/graph/rewrite.js";
import { createNativeRunner } from "../../../src/runtime/native/native-runner.js";

/** One of the exported graphs, and what is done to it. */
export interface Variant {
  readonly folder: "genai" | "genai-float-head";
  readonly dtype: Dtype;
  /** Nothing but these, or what a server does by default. */
  readonly rewrites: readonly Rewrite[] | "served";
}

const reason = "The benchmark asks for it.";
const CPU: DeviceChoice = { requested: "cpu", provider: "cpu", reason };

/** The runner that serves. */
export async function openRunner(folder: string, variant: Variant, maxSequences: number): Promise<ModelRunner> {
  const directory = openModelDirectory(join(folder, variant.folder));
  const graph = prepare(findGraphFile(directory.path, variant.dtype, "cpu"), variant.rewrites);
  return createNativeRunner({ directory, graph, device: CPU, threads: availableParallelism(), maxSequences });
}

function prepare(file: GraphFile, rewrites: Variant["rewrites"]): PreparedGraph {
  return rewrites === "served" ? prepareGraph(file) : rewriteWith(readGraph(file), rewrites);
}
