/**
 * Writes the few ONNX messages (onnx.proto) that a graph made in code needs. Protocol Buffers' wire format: a varint
 * key of field number and wire type, then the value.
 */

import { ELEMENT_TYPES, type ElementType } from "./ort-api.js";

const VARINT = 0;
const LENGTH_DELIMITED = 2;
/** `AttributeProto.AttributeType`. */
const INT = 2;

/** One field of a message, encoded. */
export type ProtoField = Uint8Array;

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return bytes;
}

function integer(field: number, value: number): ProtoField {
  return Uint8Array.from([...varint(field * 8 + VARINT), ...varint(value)]);
}

function bytes(field: number, value: Uint8Array | string): ProtoField {
  const content = typeof value === "string" ? new TextEncoder().encode(value) : value;
  return Buffer.concat([
    Uint8Array.from([...varint(field * 8 + LENGTH_DELIMITED), ...varint(content.length)]),
    content,
  ]);
}

const message = (field: number, content: readonly ProtoField[]): ProtoField => bytes(field, Buffer.concat(content));

/** `NodeProto`: an operator of the default domain; attributes are whole numbers. */
function node(
  operator: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, number>> = {},
): ProtoField {
  return message(1, [
    ...inputs.map((name) => bytes(1, name)),
    ...outputs.map((name) => bytes(2, name)),
    bytes(4, operator),
    ...Object.entries(attributes).map(([name, value]) =>
      message(5, [bytes(1, name), integer(3, value), integer(20, INT)]),
    ),
  ]);
}

/** A vector of whole numbers that the graph itself has (`TensorProto`, an initializer). */
function constant(name: string, values: readonly number[]): ProtoField {
  const raw = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
  return message(5, [integer(1, values.length), integer(2, ELEMENT_TYPES.int64), bytes(8, name), bytes(9, raw)]);
}

interface TensorSpec {
  readonly type: ElementType;
  /** A dimension may be a name. */
  readonly shape: readonly (number | string)[];
}

/** `ValueInfoProto`, as an input (11) or an output (12) of the graph. */
function tensor(field: 11 | 12, name: string, { type, shape }: TensorSpec): ProtoField {
  const dimensions = shape.map((size) => message(1, [typeof size === "string" ? bytes(2, size) : integer(1, size)]));
  const tensorType = message(1, [integer(1, ELEMENT_TYPES[type]), message(2, dimensions)]);
  return message(field, [bytes(1, name), message(2, [tensorType])]);
}

function model(graph: readonly ProtoField[]): Uint8Array {
  const irVersion = integer(1, 8);
  const operatorSet = message(8, [integer(2, 13)]);
  return Buffer.concat([irVersion, message(7, [...graph, bytes(2, "graph")]), operatorSet]);
}

/** `z = (x + y) * x` for float tensors of one shape: two nodes, two inputs, one output. */
export function twoNodeModel(shape: readonly (number | string)[]): Uint8Array {
  const spec = { type: "float32", shape } as const;
  return model([
    node("Add", ["x", "y"], ["sum"]),
    node("Mul", ["sum", "x"], ["z"]),
    tensor(11, "x", spec),
    tensor(11, "y", spec),
    tensor(12, "z", spec),
  ]);
}

/** `y = x` for vectors. */
export function identityModel(type: ElementType): Uint8Array {
  const spec = { type, shape: ["n"] } as const;
  return model([node("Identity", ["x"], ["y"]), tensor(11, "x", spec), tensor(12, "y", spec)]);
}

/** The type that {@link topModel} gives logits of a type in: bfloat16 as float32, which holds each of its values. */
export type TopType<T extends ElementType> = T extends "bfloat16" ? "float32" : T;

export const topType = <T extends ElementType>(type: T): TopType<T> =>
  (type === "bfloat16" ? "float32" : type) as TopType<T>;

/**
 * The `kept` largest logits of each row, the largest first, and their ids. Which of equals, and in which order, is the
 * lowest first on the CPU, and on CUDA whatever its threads make of it (RadixTopK of topk_impl.cuh). TopK takes no bfloat16 before version 24 of the operators, and the CPU's never: these logits are made float32 first.
 */
export function topModel(type: ElementType, kept: number): Uint8Array {
  const compared = topType(type);
  const widened = compared === type ? [] : [node("Cast", ["logits"], ["compared"], { to: ELEMENT_TYPES[compared] })];
  return model([
    ...widened,
    node("TopK", [widened.length === 0 ? "logits" : "compared", "kept"], ["top", "places"]),
    // JavaScript takes eight bytes an id one by one.
    node("Cast", ["places"], ["ids"], { to: ELEMENT_TYPES.int32 }),
    constant("kept", [kept]),
    tensor(11, "logits", { type, shape: ["rows", "vocabulary"] }),
    tensor(12, "top", { type: compared, shape: ["rows", kept] }),
    tensor(12, "ids", { type: "int32", shape: ["rows", kept] }),
  ]);
}
