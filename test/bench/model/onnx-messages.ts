/** Nodes and values of a graph, encoded (onnx.proto). */
import { ELEMENT, message } from "../../support/onnx-builder.js";
import type { FloatPrecision } from "./half-precision.js";

/** Where ONNX Runtime's own operators are. */
export const CONTRIB = "com.microsoft";

export type Element = FloatPrecision | "uint8" | "int64";
type Dimension = number | string;

export const elementOf = (type: Element): number => (type === "uint8" ? 2 : ELEMENT[type]);

export interface GraphNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, number>>;
}

/** Attributes that are floats though their value may be whole. */
const FLOAT_ATTRIBUTES = new Set(["epsilon", "scale"]);
const MICROSOFT = new Set(["MatMulNBits", "GroupQueryAttention", "SkipSimplifiedLayerNormalization"]);

export function encodeNode(
  { operator, inputs, outputs, attributes }: GraphNode,
  accuracyLevel: number | undefined,
): Uint8Array {
  const level = operator === "MatMulNBits" && accuracyLevel !== undefined ? { accuracy_level: accuracyLevel } : {};
  return message(
    ...inputs.map((name) => [1, name] as const),
    ...outputs.map((name) => [2, name] as const),
    [3, `${operator} ${outputs[0]}`],
    [4, operator],
    ...Object.entries({ ...attributes, ...level }).map(([name, value]) => [5, encodeAttribute(name, value)] as const),
    ...(MICROSOFT.has(operator) ? [[7, CONTRIB] as const] : []),
  );
}

/** AttributeProto: a float is field 2, four bytes little-endian; an integer field 3. */
function encodeAttribute(name: string, value: number): Uint8Array {
  if (!FLOAT_ATTRIBUTES.has(name)) return message([1, name], [3, value], [20, 2]);
  const float = Buffer.alloc(5);
  float[0] = (2 << 3) | 5;
  float.writeFloatLE(value, 1);
  return Buffer.concat([message([1, name]), float, message([20, 1])]);
}

export function valueInfo(name: string, type: Element, dims: readonly Dimension[]): Uint8Array {
  const dimensions = dims.map((size) => [1, message(typeof size === "number" ? [1, size] : [2, size])] as const);
  return message([1, name], [2, message([1, message([1, elementOf(type)], [2, message(...dimensions)])])]);
}
