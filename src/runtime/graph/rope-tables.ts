import { create } from "@bufbuild/protobuf";
import { GraphIndex } from "./graph-index.js";
import { attributeOf, makeNode } from "./node-attributes.js";
import {
  type GraphProto,
  type NodeProto,
  TensorProto_DataType,
  TensorShapeProto_DimensionSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "./onnx_pb.js";
import { decoderProbes } from "./probe/decoder-samples.js";
import { scalarOf } from "./probe/sample-tensor.js";
import { type Rewrite, type Rewritten, withFields } from "./rewrite.js";

/** Where in the joined tables a token's rotary factors stand. */
export const ROTARY_POSITIONS = "rotary_position_ids";
/** Where GroupQueryAttention takes the tables, and positions of its own for them. */
const TABLES = [7, 8];
const POSITIONS_INPUT = 9;

/**
 * LongRoPE (Phi-3) has two tables of rotary factors, and graphs of onnxruntime-genai's builder choose one by the width of
 * the mask. Here both become one, the long one below the short one, and a new input `rotary_position_ids` says where in
 * it each token's factors are: then rows of one batch may differ, and a mask may be wider than its row.
 */
export function joinRopeTables(ropeSwitch: number): Rewrite {
  return (model) => {
    const leave = (why: string): Rewritten => ({
      model,
      applied: false,
      note: `Rotary tables: left as they are; ${why}.`,
    });
    if (model.graph === undefined) return leave("there is no graph");
    const joined = join(model.graph, ropeSwitch);
    if (typeof joined === "string") return leave(joined);
    const note = `Rotary tables: joined, with other factors from ${ropeSwitch + 1} tokens on.`;
    return { model: withFields(model, { graph: joined }), applied: true, note };
  };
}

function join(graph: GraphProto, ropeSwitch: number): GraphProto | string {
  const [choice, another] = graph.node.filter(({ opType }) => opType === "If");
  if (choice === undefined) return "the graph has one for all lengths";
  const index = new GraphIndex(graph);
  if (another !== undefined || choice.output.length !== 2) return "its branches are not known";
  if (index.has(ROTARY_POSITIONS)) return "it uses the names that are needed";
  const tables = branchesOf(choice, graph, ropeSwitch);
  if (tables === undefined) return "they are not chosen by the length of the mask";
  if (!tables.every((nodes) => nodes.every(({ opType }) => opType === "Constant"))) return "they are not constants";
  const [short] = tables;
  if (short.some((table) => Number(attributeOf(table, "value")?.t?.dims[0]) !== ropeSwitch)) {
    return `the short one has not ${ropeSwitch} rows`;
  }
  const readers = graph.node.filter((node) => TABLES.some((at, table) => node.input[at] === choice.output[table]));
  const taken = readers.length * TABLES.length === choice.output.reduce((sum, name) => sum + index.reads(name), 0);
  if (!taken || readers.some((node) => !isRotating(node))) return "more than attention reads them";
  const joined = choice.output.map((name, at) => {
    const parts = tables.map((nodes) => nodes[at]?.output[0] ?? "");
    return makeNode("Concat", parts, [name], { axis: 0n });
  });
  const node = graph.node.flatMap((one) => {
    if (one === choice) return [...tables.flat(), ...joined];
    return readers.includes(one) ? [withPositions(one)] : [one];
  });
  return withFields(graph, { node, input: [...graph.input, positionsInput()] });
}

/** The nodes of the short and of the long tables, in the order of the choice's outputs. */
function branchesOf(
  choice: NodeProto,
  graph: GraphProto,
  ropeSwitch: number,
): readonly [readonly NodeProto[], readonly NodeProto[]] | undefined {
  const probeAt = decoderProbes(graph, []);
  const isThen = [1, ropeSwitch, ropeSwitch + 1, 2 * ropeSwitch].map((total) => {
    return scalarOf(probeAt({ past: total - 1, fed: 1 }).value(choice.input[0] ?? ""));
  });
  const [then, otherwise] = ["then_branch", "else_branch"].map((name) => {
    const branch = attributeOf(choice, name)?.g;
    const made = branch?.output.map((output) => branch.node.find((node) => node.output[0] === output.name));
    return made?.filter((node) => node !== undefined) ?? [];
  });
  if (then?.length !== 2 || otherwise?.length !== 2) return undefined;
  if (String(isThen) === "0,0,1,1") return [otherwise, then];
  return String(isThen) === "1,1,0,0" ? [then, otherwise] : undefined;
}

/** Positions of its own would not be those of the tables. */
function isRotating({ opType, input }: NodeProto): boolean {
  return opType === "GroupQueryAttention" && (input[POSITIONS_INPUT] ?? "") === "";
}

function withPositions(node: NodeProto): NodeProto {
  return withFields(node, {
    input: [...node.input.slice(0, POSITIONS_INPUT), ROTARY_POSITIONS, ...node.input.slice(POSITIONS_INPUT + 1)],
  });
}

function positionsInput(): ValueInfoProto {
  const dim = ["batch_size", "sequence_length"].map((value) =>
    create(TensorShapeProto_DimensionSchema, { value: { case: "dimParam", value } }),
  );
  const value = { elemType: TensorProto_DataType.INT64, shape: { dim } };
  return create(ValueInfoProtoSchema, { name: ROTARY_POSITIONS, type: { value: { case: "tensorType", value } } });
}
