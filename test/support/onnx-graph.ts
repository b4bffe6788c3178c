import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  type GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProto_DataType,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "../../src/runtime/graph/onnx_pb.js";

/** Parts of ONNX graphs for tests of what reads and writes them; nothing here could run. */
export function model(graph: MessageInitShape<typeof GraphProtoSchema>, opset = 17): ModelProto {
  return create(ModelProtoSchema, { graph, opsetImport: [{ domain: "", version: BigInt(opset) }] });
}

/** `op` is the operator's name, with the domain in front where it is not ONNX's own: `com.microsoft.MatMulNBits`. */
export function node(op: string, input: string[], output: string[], integers: Record<string, number> = {}) {
  const dot = op.lastIndexOf(".");
  const attribute = Object.entries(integers).map(([name, value]) =>
    create(AttributeProtoSchema, { name, i: BigInt(value), type: AttributeProto_AttributeType.INT }),
  );
  const domain = dot < 0 ? {} : { domain: op.slice(0, dot) };
  return create(NodeProtoSchema, { opType: op.slice(dot + 1), input, output, attribute, ...domain });
}

export function weights(name: string, ...dims: number[]) {
  return create(TensorProtoSchema, { name, dims: dims.map(BigInt), dataType: TensorProto_DataType.FLOAT });
}

export function value(name: string, dims?: readonly (number | string)[]): ValueInfoProto {
  const dim = dims?.map((size) => ({
    value:
      typeof size === "number"
        ? ({ case: "dimValue", value: BigInt(size) } as const)
        : ({ case: "dimParam", value: size } as const),
  }));
  const tensor = { elemType: TensorProto_DataType.FLOAT, ...(dim === undefined ? {} : { shape: { dim } }) };
  return create(ValueInfoProtoSchema, { name, type: { value: { case: "tensorType", value: tensor } } });
}

/** The dimensions a graph declares for one of its values. */
export function dimensionsOf({ type }: ValueInfoProto): unknown[] | undefined {
  if (type?.value.case !== "tensorType") return undefined;
  return type.value.value.shape?.dim.map((dimension) => dimension.value.value);
}
