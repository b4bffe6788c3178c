import { toBinary } from "@bufbuild/protobuf";
import type { GraphFile } from "../files/graph-file.js";
import { isCacheInput } from "../signature/cache-signature.js";
import { setAccuracyLevel } from "./accuracy-level.js";
import { type AttentionSizes, fuseAttention } from "./attention/attention-fusion.js";
import { feedLengths } from "./attention-lengths.js";
import { beginLogits } from "./first-logits.js";
import { type ModelProto, ModelProtoSchema, TensorProto_DataType, type ValueInfoProto } from "./onnx_pb.js";
import { type OnnxFile, readOnnxFile } from "./onnx-file.js";
import { keepLastLogits } from "./output-head.js";
import { packAttention } from "./packed-attention.js";
import { quantizeHead } from "./quantized-head.js";
import { applyRewrites, type Rewrite } from "./rewrite.js";
import { joinRopeTables } from "./rope-tables.js";

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
  /** The note of the fusion of plain attention, where it was asked for. */
  readonly fusion: string | undefined;
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
  /** For a runner that wants plain attention fused: what config.json says of it. */
  readonly attention?: AttentionSizes | undefined;
  /** For a runner that tells attention each row's length. */
  readonly lengths?: boolean | undefined;
  /** LongRoPE: tokens up to which a sequence has the short rotary factors. */
  readonly ropeSwitch?: number | undefined;
}

/** A graph as it is in its file. */
export interface ReadGraph {
  readonly file: GraphFile;
  readonly onnx: OnnxFile;
  /** Some rewrites of it want to know what config.json says: plain attention, and a choice of rotary tables. */
  readonly goesByConfig: boolean;
  /** Its KV cache is bfloat16, and so what attention computes in. */
  readonly bfloat16: boolean;
}

/** Throws `model_invalid`. */
export function readGraph(file: GraphFile): ReadGraph {
  const onnx = readOnnxFile(file.path);
  const operators = new Set(onnx.model.graph?.node.map(({ opType }) => opType));
  const bfloat16 = onnx.model.graph?.input.some((input) => isCacheInput(input) && isBfloat16(input)) ?? false;
  // onnxruntime-genai's builder names every graph alike.
  const dtype = bfloat16 && file.dtype === "fp32" ? "bf16" : file.dtype;
  const goesByConfig = !operators.has("GroupQueryAttention") || operators.has("If");
  return { file: { ...file, dtype }, onnx, goesByConfig, bfloat16 };
}

function isBfloat16({ type }: ValueInfoProto): boolean {
  return type?.value.case === "tensorType" && type.value.value.elemType === TensorProto_DataType.BFLOAT16;
}

/** Leaves what it is given as it is. */
export function rewriteGraph(read: ReadGraph, options: PrepareOptions): PreparedGraph {
  const graph = rewriteWith(read, rewritesFor(options));
  return { ...graph, fusion: options.attention && graph.notes[0] };
}

/** The same with these rewrites alone, in this order. */
export function rewriteWith({ file, onnx }: ReadGraph, rewrites: readonly Rewrite[]): PreparedGraph {
  const { folder, mappedBytes, relocated } = onnx;
  const { model, applied, notes } = applyRewrites(onnx.model, rewrites);
  const changed = applied || relocated || mappedBytes > 0;
  const rewritten = changed ? { bytes: toBinary(ModelProtoSchema, model), folder } : undefined;
  return { ...file, nodes: nodesOf(model), rewritten, notes, fusion: undefined };
}

/** Reads a graph and rewrites it. Throws `model_invalid`. */
export function prepareGraph(file: GraphFile, options: PrepareOptions = {}): PreparedGraph {
  return rewriteGraph(readGraph(file), options);
}

/** Fusion first: it takes merged decoders apart, whose output head is hidden before. */
function rewritesFor({ fastInt4 = true, attention, lengths = false, ropeSwitch }: PrepareOptions): Rewrite[] {
  return [
    ...(attention === undefined ? [] : [fuseAttention(attention)]),
    ...(ropeSwitch === undefined ? [] : [joinRopeTables(ropeSwitch)]),
    keepLastLogits,
    ...(fastInt4 ? [setAccuracyLevel, quantizeHead] : []),
    packAttention,
    ...(lengths ? [feedLengths, beginLogits] : []),
  ];
}

function nodesOf(model: ModelProto): GraphNode[] {
  return (model.graph?.node ?? []).map(({ opType, domain, input, output }) => {
    return { operator: opType, domain, inputs: input, outputs: output };
  });
}
