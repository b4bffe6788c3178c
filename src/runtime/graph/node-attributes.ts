import { create } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  type NodeProto,
  NodeProtoSchema,
} from "./onnx_pb.js";

export function attributeOf(node: NodeProto, name: string): AttributeProto | undefined {
  return node.attribute.find((attribute) => attribute.name === name);
}

/** An integer attribute. */
export function integerOf(node: NodeProto, name: string): number | undefined {
  const attribute = attributeOf(node, name);
  return attribute && Number(attribute.i);
}

/** A list of integers. */
export function integersOf(node: NodeProto, name: string): number[] | undefined {
  return attributeOf(node, name)?.ints.map(Number);
}

export type AttributeValue = bigint | number | readonly bigint[];

/** A node; attributes are integers as bigint, floats as number. `operator` is with its domain where it has one. */
export function makeNode(
  operator: string,
  input: readonly string[],
  output: readonly string[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
): NodeProto {
  const dot = operator.lastIndexOf(".");
  return create(NodeProtoSchema, {
    opType: operator.slice(dot + 1),
    domain: operator.slice(0, Math.max(dot, 0)),
    name: output[0] ?? "",
    input: [...input],
    output: [...output],
    attribute: Object.entries(attributes).map(([name, value]) => makeAttribute(name, value)),
  });
}

function makeAttribute(name: string, value: AttributeValue): AttributeProto {
  const { INT, INTS, FLOAT } = AttributeProto_AttributeType;
  if (typeof value === "bigint") return create(AttributeProtoSchema, { name, type: INT, i: value });
  if (typeof value === "number") return create(AttributeProtoSchema, { name, type: FLOAT, f: value });
  return create(AttributeProtoSchema, { name, type: INTS, ints: [...value] });
}
