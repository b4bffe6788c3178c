import { create } from "@bufbuild/protobuf";
import { GraphIndex } from "./graph-index.js";
import { AttributeProto_AttributeType, AttributeProtoSchema, type NodeProto, NodeProtoSchema } from "./onnx_pb.js";
import { type Rewrite, type Rewritten, withFields } from "./rewrite.js";

const PREFIX = "vitrine/packed_attention/";

/** What one of query, key and value is made by: a 4-bit product, and the addition of its bias where there is one. */
interface Projection {
  readonly product: NodeProto;
  readonly bias: string | undefined;
  readonly nodes: readonly NodeProto[];
}

/**
 * Makes one product of the three that give GroupQueryAttention its queries, keys and values: their weights are put
 * together by operators on constants, which ONNX Runtime computes once, at load. The activations are then quantized once
 * instead of three times, and two small products less wait for all threads.
 */
export const packAttention: Rewrite = (model) => {
  const { graph } = model;
  const leave = (why: string): Rewritten => {
    return { model, applied: false, note: `Products before attention: left as they are; ${why}.` };
  };
  if (graph === undefined) return leave("there is no graph");
  const index = new GraphIndex(graph);
  if (index.has(`${PREFIX}0/packed`)) return leave("it uses the names that are needed");
  const replaced = new Map<NodeProto, readonly NodeProto[]>();
  let packed = 0;
  for (const node of graph.node) {
    const projections = projectionsOf(node, index);
    if (projections === undefined) continue;
    for (const projection of projections) for (const old of projection.nodes) replaced.set(old, []);
    replaced.set(node, pack(node, projections, `${PREFIX}${packed++}/`));
  }
  if (packed === 0) return leave("none are three 4-bit products of one value");
  const nodes = graph.node.flatMap((node) => replaced.get(node) ?? [node]);
  const note = `Products before attention: made one of three, ${packed} times.`;
  return { model: withFields(model, { graph: withFields(graph, { node: nodes }) }), applied: true, note };
};

/** Query, key and value of a GroupQueryAttention; undefined where they cannot be one product. */
function projectionsOf(node: NodeProto, index: GraphIndex): readonly Projection[] | undefined {
  if (node.opType !== "GroupQueryAttention" || node.domain !== "com.microsoft") return undefined;
  const projections: Projection[] = [];
  for (const value of node.input.slice(0, 3)) {
    const projection = projectionOf(value, index);
    if (projection === undefined) return undefined;
    projections.push(projection);
  }
  const [query] = projections;
  return query !== undefined && projections.every((other) => isAlike(query, other)) ? projections : undefined;
}

function projectionOf(value: string, index: GraphIndex): Projection | undefined {
  const node = index.producer(value);
  if (node === undefined || index.reads(value) !== 1) return undefined;
  if (isFourBitProduct(node, index)) return { product: node, bias: undefined, nodes: [node] };
  if (node.opType !== "Add" || node.domain !== "") return undefined;
  const bias = node.input.find((name) => index.producer(name) === undefined);
  const product = node.input.map((name) => index.producer(name)).find((producer) => producer !== undefined);
  if (bias === undefined || product === undefined || index.constantRank(bias) !== 1) return undefined;
  if (!isFourBitProduct(product, index) || index.reads(product.output[0] ?? "") !== 1) return undefined;
  return { product, bias, nodes: [product, node] };
}

/** With weights that are constants, without reordering (`g_idx`) and a bias of its own. */
function isFourBitProduct(node: NodeProto, index: GraphIndex): boolean {
  if (node.opType !== "MatMulNBits" || node.domain !== "com.microsoft") return false;
  const [, ...weights] = node.input;
  return weights.every((name, at) => (at < 3 ? name === "" || index.constantRank(name) !== undefined : name === ""));
}

const integer = (node: NodeProto, name: string) => node.attribute.find((attribute) => attribute.name === name)?.i;

/** One input, one way of quantizing: only the number of outputs may differ. */
function isAlike(a: Projection, b: Projection): boolean {
  const same = ["K", "bits", "block_size", "accuracy_level"].every(
    (name) => integer(a.product, name) === integer(b.product, name),
  );
  const hasZeroPoints = ({ product }: Projection) => (product.input[3] ?? "") !== "";
  return (
    same &&
    a.product.input[0] === b.product.input[0] &&
    hasZeroPoints(a) === hasZeroPoints(b) &&
    (a.bias === undefined) === (b.bias === undefined)
  );
}

function pack(attention: NodeProto, projections: readonly Projection[], prefix: string): NodeProto[] {
  const [first] = projections as [Projection];
  const nodes: NodeProto[] = [];
  const together = (name: string, values: readonly string[]): string => {
    nodes.push(concat(`${prefix}${name}`, values));
    return `${prefix}${name}`;
  };
  const weights = first.product.input.slice(1, 4).map((name, at) => {
    const parts = projections.map(({ product }) => product.input[at + 1] ?? "");
    return name === "" ? "" : together(["weight", "scales", "zero_points"][at] as string, parts);
  });
  const outputs = projections.reduce((sum, { product }) => sum + (integer(product, "N") ?? 0n), 0n);
  const product = withFields(first.product, {
    name: `${prefix}MatMulNBits`,
    input: [first.product.input[0] ?? "", ...weights],
    output: [`${prefix}product`],
    attribute: first.product.attribute.map((own) => (own.name === "N" ? withFields(own, { i: outputs }) : own)),
  });
  nodes.push(product);
  let packed = `${prefix}product`;
  if (first.bias !== undefined) {
    const bias = together(
      "bias",
      projections.map((projection) => projection.bias ?? ""),
    );
    packed = `${prefix}packed`;
    nodes.push(
      create(NodeProtoSchema, {
        opType: "Add",
        name: `${prefix}Add`,
        input: [`${prefix}product`, bias],
        output: [packed],
      }),
    );
  }
  return [...nodes, withFields(attention, { input: [packed, "", "", ...attention.input.slice(3)] })];
}

function concat(output: string, input: readonly string[]): NodeProto {
  const axis = create(AttributeProtoSchema, { name: "axis", type: AttributeProto_AttributeType.INT, i: 0n });
  return create(NodeProtoSchema, {
    opType: "Concat",
    name: output,
    input: [...input],
    output: [output],
    attribute: [axis],
  });
}
