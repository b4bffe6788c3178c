import { create } from "@bufbuild/protobuf";
import { FIRST_LOGITS, firstLogitsInput, KEPT_LOGITS } from "./first-logits.js";
import { GraphIndex } from "./graph-index.js";
import {
  type GraphProto,
  type NodeProto,
  NodeProtoSchema,
  TensorProto_DataType,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  type ValueInfoProto,
} from "./onnx_pb.js";
import { type Rewrite, type Rewritten, withFields } from "./rewrite.js";

const LOGITS = "logits";
/** The dimension of logits that it decides, as Optimum and onnx-community name it. */
const KEPT_ROWS = "num_logits_to_keep";
const PREFIX = "vitrine/output_head/";

/**
 * Computes logits for the last positions only, those that the new input says: the hidden state is cut right before the
 * output head. A prompt needs the logits of its last token; for all of them, most of a prompt's time can go into the head,
 * and its result is `prompt x vocabulary`. The input is what Slice takes, as it is: an operator between the two would run
 * on a GPU, and Slice read its result back.
 */
export const keepLastLogits: Rewrite = (model) => {
  const { graph } = model;
  const leave = (why: string): Rewritten => ({ model, applied: false, note: `Output head: left as it is; ${why}.` });
  const output = graph?.output.find(({ name }) => name === LOGITS);
  if (graph === undefined || output === undefined) return leave("the graph has no logits");
  if (graph.input.some(({ name }) => KEPT_LOGITS.test(name))) return leave("it can do it already");
  const shape = dimensions(output);
  if (shape?.length !== 3) return leave("the graph does not say that logits have three dimensions");
  if (shape[1]?.value.case === "dimValue") return leave(`logits have ${shape[1].value.value} rows`);
  // The version from which Slice takes its bounds as inputs.
  const opset = model.opsetImport.find(({ domain }) => domain === "" || domain === "ai.onnx")?.version ?? 0n;
  if (opset < 10n) return leave(`operators are those of version ${opset}`);
  const index = new GraphIndex(graph);
  if (index.has(FIRST_LOGITS) || index.has(`${PREFIX}hidden`)) return leave("it uses the names that are needed");
  const head = findHead(index);
  if (typeof head === "string") return leave(head);
  const note = `Output head: logits for the last positions only, cut before ${head.opType}.`;
  return { model: withFields(model, { graph: cutBefore(head, graph, output) }), applied: true, note };
};

/** Matrix products with the activations first, and their weights second. */
const PRODUCTS = new Set(["MatMul", "MatMulInteger", "com.microsoft.MatMulNBits", "com.microsoft.MatMulBnb4"]);
/** What treats every number alone, and so every row. */
const ELEMENTWISE = new Set(["Add", "Cast", "Clip", "Div", "Identity", "Mul", "Sub", "Tanh"]);

/** Walks back from the logits to the product that makes them; a text says why that is not possible. */
export function findHead(index: GraphIndex): NodeProto | string {
  let value = LOGITS;
  for (;;) {
    const node = index.producer(value);
    if (node === undefined) return `"${value}" is made by no operator`;
    const operator = node.domain === "" ? node.opType : `${node.domain}.${node.opType}`;
    const isProduct = PRODUCTS.has(operator);
    if (!isProduct && !ELEMENTWISE.has(operator)) return `"${value}" comes from ${operator}`;
    if (index.reads(value) > 1) return `"${value}" is used elsewhere too`;
    if (isProduct) return isMatrixProduct(node, index) ? node : `the weights of ${operator} may not be a matrix`;
    const inputs = node.input.filter((name) => name !== "" && !isSameForRows(name, index));
    if (inputs.length !== 1) return `${operator} has ${inputs.length} inputs that may differ by row`;
    value = inputs[0] as string;
  }
}

/** Then its result has as many dimensions as its activations, with the rows in the same place. */
function isMatrixProduct(node: NodeProto, index: GraphIndex): boolean {
  return node.domain !== "" || index.constantRank(node.input[1] ?? "") === 2;
}

/** A scalar or a vector over the vocabulary: the same for every row. */
function isSameForRows(value: string, index: GraphIndex): boolean {
  const rank = index.constantRank(value);
  if (rank !== undefined) return rank <= 1;
  const node = index.producer(value);
  if (node === undefined || node.domain !== "") return false;
  // Scale and zero point of a whole tensor.
  if (node.opType === "DynamicQuantizeLinear") return node.output.indexOf(value) > 0;
  return node.opType === "Mul" && node.input.every((name) => isSameForRows(name, index));
}

function cutBefore(head: NodeProto, graph: GraphProto, output: ValueInfoProto): GraphProto {
  const [hidden = "", ...weights] = head.input;
  const input = [hidden, FIRST_LOGITS, `${PREFIX}end`, `${PREFIX}axis`];
  const cut = [
    create(NodeProtoSchema, { opType: "Slice", name: `${PREFIX}Slice`, input, output: [`${PREFIX}hidden`] }),
    withFields(head, { input: [`${PREFIX}hidden`, ...weights] }),
  ];
  return withFields(graph, {
    node: graph.node.flatMap((node) => (node === head ? cut : [node])),
    initializer: [...graph.initializer, integer(`${PREFIX}end`, 2n ** 63n - 1n), integer(`${PREFIX}axis`, 1n)],
    input: [...graph.input, firstLogitsInput()],
    output: graph.output.map((value) => (value === output ? withKeptRows(value) : value)),
  });
}

function integer(name: string, value: bigint) {
  const rawData = new Uint8Array(8);
  new DataView(rawData.buffer).setBigInt64(0, value, true);
  return create(TensorProtoSchema, { name, dataType: TensorProto_DataType.INT64, dims: [1n], rawData });
}

function dimensions({ type }: ValueInfoProto) {
  return type?.value.case === "tensorType" ? type.value.value.shape?.dim : undefined;
}

function withKeptRows(output: ValueInfoProto): ValueInfoProto {
  const { type } = output;
  if (type?.value.case !== "tensorType" || type.value.value.shape === undefined) return output;
  const tensor = type.value.value;
  const dim = (tensor.shape?.dim ?? []).map((dimension, axis) =>
    axis === 1
      ? create(TensorShapeProto_DimensionSchema, { value: { case: "dimParam", value: KEPT_ROWS } })
      : dimension,
  );
  const shape = withFields(tensor.shape as NonNullable<typeof tensor.shape>, { dim });
  return withFields(output, {
    type: withFields(type, { value: { case: "tensorType", value: withFields(tensor, { shape }) } }),
  });
}
