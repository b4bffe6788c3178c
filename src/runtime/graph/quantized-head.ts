import { create } from "@bufbuild/protobuf";
import { isFourBitProduct } from "./accuracy-level.js";
import { GraphIndex } from "./graph-index.js";
import {
  type AttributeProto,
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
  TensorProto_DataType,
  TensorProtoSchema,
} from "./onnx_pb.js";
import { findHead } from "./output-head.js";
import { type Rewrite, type Rewritten, withFields } from "./rewrite.js";

const PREFIX = "vitrine/quantized_head/";
const CONTRIB = "com.microsoft";
/** Weights that share a scale, as in the hub's 4-bit files. */
const BLOCK = 32n;
/** The value that stands for 0 in MatMulNBits of 8 bits; a block's largest weight is this far from it, less one. */
const ZERO = 128;
/** Of a block of zeros, which has no scale of its own. */
const LEAST_SCALE = 1e-30;

/** An output head of fp32 weights. */
interface FloatHead {
  readonly product: NodeProto;
  /** `[N, K]`, or `[K, N]` where `transposed`. */
  readonly weights: TensorProto;
  readonly transposed: boolean;
  /** Features of the hidden state. */
  readonly k: bigint;
  /** Size of the vocabulary. */
  readonly n: bigint;
  /** Turns the weights around for the product, and for nothing else. */
  readonly turn: NodeProto | undefined;
}

/**
 * Multiplies by 8-bit weights in the output head of a 4-bit model whose head stayed fp32, as quantizing tools leave one
 * that shares its weights with the embedding: most bytes of a token are then the head's. The weights are quantized by
 * operators on constants, which ONNX Runtime computes once, at load; the embedding keeps what it has.
 */
export const quantizeHead: Rewrite = (model) => {
  const { graph } = model;
  const leave = (why: string): Rewritten => {
    return { model, applied: false, note: `Weights of the output head: left as they are; ${why}.` };
  };
  if (!graph?.node.some(isFourBitProduct)) return leave("the model is not a 4-bit one");
  const index = new GraphIndex(graph);
  if (index.has(`${PREFIX}blocks`)) return leave("it uses the names that are needed");
  const head = floatHead(graph, index);
  if (typeof head === "string") return leave(head);
  const quantized = new HeadQuantizer(opsetOf(model)).quantize(head);
  const node = graph.node.flatMap((old) => {
    if (old === head.product) return quantized.nodes;
    return old === head.turn ? [] : [old];
  });
  const initializer = [...graph.initializer, ...quantized.constants];
  const note = `Weights of the output head: made 8-bit, ${head.n} x ${head.k}.`;
  return { model: withFields(model, { graph: withFields(graph, { node, initializer }) }), applied: true, note };
};

const opsetOf = ({ opsetImport }: ModelProto): bigint =>
  opsetImport.find(({ domain }) => domain === "" || domain === "ai.onnx")?.version ?? 0n;

function floatHead(graph: GraphProto, index: GraphIndex): FloatHead | string {
  const product = findHead(index);
  if (typeof product === "string") return product;
  if (product.opType !== "MatMul" || product.domain !== "") return `they are those of ${product.opType}`;
  const [, factor = ""] = product.input;
  const maker = index.producer(factor);
  const transposed = maker === undefined;
  if (!transposed && !isTurn(maker)) return `they are made by ${maker.opType}`;
  const name = transposed ? factor : (maker.input[0] ?? "");
  const weights = graph.initializer.find((tensor) => tensor.name === name);
  if (weights === undefined || index.constantRank(name) !== 2) return "they are not a constant matrix";
  if (weights.dataType !== TensorProto_DataType.FLOAT) return "they are not fp32";
  const [n, k] = (transposed ? weights.dims.toReversed() : weights.dims) as [bigint, bigint];
  if (k % BLOCK !== 0n) return `${k} features are no multiple of ${BLOCK}`;
  return { product, weights, transposed, k, n, turn: index.reads(factor) === 1 ? maker : undefined };
}

/** Of two dimensions there is one way to turn them, with or without `perm`. */
function isTurn({ opType, domain, attribute }: NodeProto): boolean {
  return opType === "Transpose" && domain === "" && attribute.every(({ ints }) => ints[0] === 1n);
}

/** Collects the operators that quantize, and the constants they need. */
class HeadQuantizer {
  readonly nodes: NodeProto[] = [];
  readonly constants: TensorProto[] = [];

  constructor(private readonly opset: bigint) {}

  /** Symmetric, to 1 ... 255 about `ZERO`: the layout of MatMulNBits, `[N, K / BLOCK, BLOCK]` with a scale a block. */
  quantize({ product, weights, transposed, k, n }: FloatHead): this {
    const rows = transposed ? this.add("Transpose", "rows", [weights.name]) : weights.name;
    const blocks = this.add("Reshape", "blocks", [rows, this.integers("blocks_shape", [-1n, BLOCK])]);
    const lowest = this.add("Neg", "lowest_negated", [this.reduce("ReduceMin", "lowest", blocks)]);
    const peak = this.add("Max", "peak", [this.reduce("ReduceMax", "highest", blocks), lowest]);
    const share = this.add("Div", "share", [peak, this.float("steps", ZERO - 1)]);
    const scales = this.add("Max", "scales", [share, this.float("least_scale", LEAST_SCALE)]);
    const zero = this.constant("zero", TensorProto_DataType.UINT8, [1n], Uint8Array.of(ZERO));
    const zeros = this.add("Expand", "zeros", [zero, this.add("Shape", "scales_shape", [scales])]);
    const bytes = this.add("QuantizeLinear", "bytes", [blocks, scales, zeros], [integer("axis", 0n)], CONTRIB);
    const shape = this.integers("weight_shape", [n, k / BLOCK, BLOCK]);
    const weight = this.add("Reshape", "weight", [bytes, shape]);
    const attributes = { K: k, N: n, bits: 8n, block_size: BLOCK, accuracy_level: 4n };
    this.nodes.push(
      create(NodeProtoSchema, {
        opType: "MatMulNBits",
        domain: CONTRIB,
        name: `${PREFIX}MatMulNBits`,
        input: [product.input[0] ?? "", weight, scales],
        output: product.output,
        attribute: Object.entries(attributes).map(([name, value]) => integer(name, value)),
      }),
    );
    return this;
  }

  private add(opType: string, name: string, input: string[], attribute: AttributeProto[] = [], domain = ""): string {
    const output = PREFIX + name;
    this.nodes.push(create(NodeProtoSchema, { opType, domain, name: output, input, output: [output], attribute }));
    return output;
  }

  /** One number a block. From version 18 on the axes are an input. */
  private reduce(opType: string, name: string, input: string): string {
    const keep = integer("keepdims", 0n);
    if (this.opset >= 18n) return this.add(opType, name, [input, this.integers(`${name}_axes`, [1n])], [keep]);
    const type = AttributeProto_AttributeType.INTS;
    return this.add(opType, name, [input], [create(AttributeProtoSchema, { name: "axes", type, ints: [1n] }), keep]);
  }

  private integers(name: string, values: readonly bigint[]): string {
    const bytes = new Uint8Array(BigInt64Array.from(values).buffer);
    return this.constant(name, TensorProto_DataType.INT64, [BigInt(values.length)], bytes);
  }

  private float(name: string, value: number): string {
    return this.constant(name, TensorProto_DataType.FLOAT, [], new Uint8Array(Float32Array.of(value).buffer));
  }

  private constant(name: string, dataType: TensorProto_DataType, dims: bigint[], rawData: Uint8Array): string {
    this.constants.push(create(TensorProtoSchema, { name: PREFIX + name, dataType, dims, rawData }));
    return PREFIX + name;
  }
}

function integer(name: string, value: bigint): AttributeProto {
  return create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.INT, i: value });
}
