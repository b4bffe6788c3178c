import { NativeError } from "./native-error.js";
import { ELEMENT_TYPES, type ElementType, type OrtApi, type Out, type Pointer } from "./ort-api.js";
import { check, stored } from "./ort-library.js";

const TYPE_NAMES = new Map(Object.entries(ELEMENT_TYPES).map(([name, value]) => [value, name as ElementType]));

/** Element type and shape of a value. Throws NativeError `not_implemented` for what has no typed array. */
export function readTensorInfo(api: OrtApi, value: Pointer<"Value">): { type: ElementType; shape: number[] } {
  const info: Out<Pointer<"TensorInfo">> = [null];
  check(api, api.GetTensorTypeAndShape(value, info), "describe a tensor");
  try {
    const type = elementType(api, stored(info));
    if (type === undefined)
      throw new NativeError("not_implemented", "A tensor has elements that JavaScript cannot hold.");
    return { type, shape: [...dimensions(api, stored(info))].map(Number) };
  } finally {
    api.ReleaseTensorTypeAndShapeInfo(stored(info));
  }
}

/** A declared input or output; dimensions that are not fixed are names, empty where the graph gives none. */
export function readDeclaredInfo(
  api: OrtApi,
  typeInfo: Pointer<"TypeInfo">,
): { type: ElementType | undefined; shape: (number | string)[] } {
  const info: Out<Pointer<"TensorInfo">> = [null];
  check(api, api.CastTypeInfoToTensorInfo(typeInfo, info), "describe an input or output");
  const [tensor] = info;
  // A sequence, a map, an optional: nothing that can be bound here.
  if (tensor === null) return { type: undefined, shape: [] };
  const fixed = dimensions(api, tensor);
  const names = new Array<string | null>(fixed.length).fill(null);
  check(api, api.GetSymbolicDimensions(tensor, names, names.length), "name the dimensions of an input or output");
  const shape = [...fixed].map((size, axis) => (size < 0n ? (names[axis] ?? "") : Number(size)));
  return { type: elementType(api, tensor), shape };
}

function elementType(api: OrtApi, info: Pointer<"TensorInfo">): ElementType | undefined {
  const type: Out<number> = [null];
  check(api, api.GetTensorElementType(info, type), "read an element type");
  return TYPE_NAMES.get(stored(type) as never);
}

function dimensions(api: OrtApi, info: Pointer<"TensorInfo">): BigInt64Array {
  const rank: Out<number> = [null];
  check(api, api.GetDimensionsCount(info, rank), "read a rank");
  const shape = new BigInt64Array(stored(rank));
  check(api, api.GetDimensions(info, shape, shape.length), "read a shape");
  return shape;
}
