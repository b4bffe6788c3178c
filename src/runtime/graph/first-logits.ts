import { create } from "@bufbuild/protobuf";
import { GraphIndex } from "./graph-index.js";
import { liveNodes, valuesReadBy } from "./live-nodes.js";
import {
  type GraphProto,
  type NodeProto,
  TensorProto_DataType,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "./onnx_pb.js";
import { type Rewrite, type Rewritten, withFields } from "./rewrite.js";

/** An input, `[1]`: where logits begin, counted from the end, so -1 is the last position alone. */
export const FIRST_LOGITS = "vitrine/output_head/first";
/** How many of them there are to be, as exporters name it. */
export const KEPT_LOGITS = /^(num_)?logits_to_keep$/;
/** Where Slice takes what it begins at. */
const STARTS = 1;
/** What gives a single number another shape. */
const SHAPING = new Set(["Identity", "Reshape", "Squeeze", "Unsqueeze"]);

export function firstLogitsInput(): ValueInfoProto {
  const dim = [{ value: { case: "dimValue", value: 1n } as const }];
  const value = { elemType: TensorProto_DataType.INT64, shape: { dim } };
  return create(ValueInfoProtoSchema, { name: FIRST_LOGITS, type: { value: { case: "tensorType", value } } });
}

/**
 * A graph that keeps as many last logits as an input says takes the first of them instead: Slice reads that as it is. The
 * operators that make it of the count would run on a GPU, and its result would be copied back for Slice in every run.
 */
export const beginLogits: Rewrite = (model) => {
  const leave = (why: string): Rewritten => ({
    model,
    applied: false,
    note: `Where logits begin: made as before; ${why}.`,
  });
  const { graph } = model;
  const count = graph?.input.find(({ name }) => KEPT_LOGITS.test(name));
  if (graph === undefined || count === undefined) return leave("there is no count of them");
  if (!isInt64(count)) return leave("their count is no int64");
  const index = new GraphIndex(graph);
  if (index.has(FIRST_LOGITS)) return leave("it uses the name that is needed");
  const node = graph.node.map((one) => (isCut(one, count.name, index) ? beginningAtInput(one) : one));
  const live = liveNodes(withFields(graph, { node }));
  if (live.some((one) => valuesReadBy(one).includes(count.name))) return leave("more than a Slice reads the count");
  return {
    model: withFields(model, { graph: withFirst(graph, live, count) }),
    applied: true,
    note: "Where logits begin: fed.",
  };
};

function withFirst(graph: GraphProto, node: NodeProto[], count: ValueInfoProto): GraphProto {
  const input = graph.input.filter((one) => one !== count);
  return withFields(graph, { node, input: [...input, firstLogitsInput()] });
}

function isInt64({ type }: ValueInfoProto): boolean {
  return type?.value.case === "tensorType" && type.value.value.elemType === TensorProto_DataType.INT64;
}

function isCut({ opType, domain, input }: NodeProto, count: string, index: GraphIndex): boolean {
  return opType === "Slice" && domain === "" && isMinus(input[STARTS] ?? "", count, index);
}

/** Walks back from a single number to the count, with one change of sign on the way. */
function isMinus(value: string, count: string, index: GraphIndex): boolean {
  let signs = 0;
  for (let name = value; name !== count; ) {
    const node = index.producer(name);
    const isNegation = node?.opType === "Neg";
    if (node === undefined || node.domain !== "" || !(isNegation || SHAPING.has(node.opType))) return false;
    if (isNegation) signs++;
    name = node.input[0] ?? "";
  }
  return signs === 1;
}

function beginningAtInput(slice: NodeProto): NodeProto {
  return withFields(slice, { input: slice.input.with(STARTS, FIRST_LOGITS) });
}
