import { toBinary } from "@bufbuild/protobuf";
import type { GraphFile } from "../graph-file.js";
import { setAccuracyLevel } from "./accuracy-level.js";
import { type ModelProto, ModelProtoSchema } from "./onnx_pb.js";
import { readOnnxFile } from "./onnx-file.js";
import { keepLastLogits } from "./output-head.js";
import { packAttention } from "./packed-attention.js";
import { quantizeHead } from "./quantized-head.js";
import { applyRewrites, type Rewrite } from "./rewrite.js";

/** One operator of a graph, without its attributes. */
export interface GraphNode {
  readonly operator: string;
  /** Empty for ONNX's own operators. */
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** A graph ready to make a session from. */
export interface PreparedGraph extends GraphFile {
  /** In the order they are computed in. */
  readonly nodes: readonly GraphNode[];
  /** What to load: without it, the file as it is. */
  readonly rewritten: RewrittenGraph | undefined;
  /** What each rewrite did, or why it did nothing. */
  readonly notes: readonly string[];
}

export interface RewrittenGraph {
  /** The serialized graph; large weights are external data. */
  readonly bytes: Uint8Array;
  /** Where the external data is. */
  readonly folder: string;
}

export interface PrepareOptions {
  /** Of 4-bit models: int8 activations where the file leaves it open, an fp32 head in 8 bits; true when absent. */
  readonly fastInt4?: boolean | undefined;
}

/** Reads a graph and rewrites it. Throws `model_invalid`. */
export function prepareGraph(file: GraphFile, { fastInt4 = true }: PrepareOptions = {}): PreparedGraph {
  return rewriteGraph(
    file,
    fastInt4 ? [keepLastLogits, setAccuracyLevel, quantizeHead, packAttention] : [keepLastLogits, packAttention],
  );
}

/** Reads a graph and applies these rewrites, in this order. Throws `model_invalid`. */
export function rewriteGraph(file: GraphFile, rewrites: readonly Rewrite[]): PreparedGraph {
  const { model: read, folder, mappedBytes } = readOnnxFile(file.path);
  const { model, applied, notes } = applyRewrites(read, rewrites);
  const changed = applied || mappedBytes > 0;
  const rewritten = changed ? { bytes: toBinary(ModelProtoSchema, model), folder } : undefined;
  return { ...file, nodes: nodesOf(model), rewritten, notes };
}

function nodesOf(model: ModelProto): GraphNode[] {
  return (model.graph?.node ?? []).map(({ opType, domain, input, output }) => {
    return { operator: opType, domain, inputs: input, outputs: output };
  });
}
