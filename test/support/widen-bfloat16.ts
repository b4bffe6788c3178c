import { readFileSync } from "node:fs";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { bfloat16ToFloat32 } from "../../src/runtime/floats/bfloat16.js";
import {
  type GraphProto,
  ModelProtoSchema,
  type TensorProto,
  TensorProto_DataType,
  TensorProtoSchema,
  type ValueInfoProto,
} from "../../src/runtime/graph/onnx_pb.js";
import type { PreparedGraph } from "../../src/runtime/graph/prepare-graph.js";

const { BFLOAT16, FLOAT } = TensorProto_DataType;
/** `value_info` of GraphProto, types of values on the way, which the schema leaves out. */
const VALUE_INFO = 13;

/**
 * The same graph with float32 wherever it says bfloat16, of which each value is one. The CPU has kernels for it, so that
 * rewrites of a bfloat16 graph can be run: what they do to its values, but for rounding.
 */
export function widenBfloat16({ rewritten, ...graph }: PreparedGraph): PreparedGraph {
  if (rewritten === undefined) throw new Error("a graph with bfloat16 is widened after its rewrites");
  const { folder } = rewritten;
  const model = fromBinary(ModelProtoSchema, rewritten.bytes);
  if (model.graph !== undefined) widenGraph(model.graph, folder);
  return { ...graph, rewritten: { bytes: toBinary(ModelProtoSchema, model), folder } };
}

function widenGraph(graph: GraphProto, folder: string): void {
  graph.initializer = graph.initializer.map((tensor) => widenTensor(tensor, folder));
  for (const value of [...graph.input, ...graph.output]) widenValue(value);
  for (const { opType, attribute } of graph.node) {
    for (const one of attribute) {
      if (opType === "Cast" && one.name === "to" && one.i === BigInt(BFLOAT16)) one.i = BigInt(FLOAT);
      if (one.t !== undefined) one.t = widenTensor(one.t, folder);
      if (one.g !== undefined) widenGraph(one.g, folder);
    }
  }
  graph.$unknown = (graph.$unknown ?? []).filter(({ no }) => no !== VALUE_INFO);
}

function widenValue({ type }: ValueInfoProto): void {
  if (type?.value.case !== "tensorType") return;
  const { value } = type.value;
  if (value.elemType === BFLOAT16) value.elemType = FLOAT;
}

function widenTensor(tensor: TensorProto, folder: string): TensorProto {
  const { name, dims, dataType } = tensor;
  if (dataType !== BFLOAT16) return tensor;
  const bytes = new Uint8Array(bytesOf(tensor, folder));
  const values = bfloat16ToFloat32(new Uint16Array(bytes.buffer));
  return create(TensorProtoSchema, { name, dims, dataType: FLOAT, rawData: new Uint8Array(values.buffer) });
}

function bytesOf({ externalData, rawData }: TensorProto, folder: string): Uint8Array {
  const place = new Map(externalData.map(({ key, value }) => [key, value]));
  const location = place.get("location");
  if (location === undefined) return rawData;
  const start = Number(place.get("offset") ?? 0);
  return readFileSync(join(folder, location)).subarray(start, start + Number(place.get("length")));
}
