import { VitrineError } from "../../errors.js";

/** One input or output of a graph. A dimension is a number, or the name of a symbolic one. */
export interface GraphValue {
  readonly name: string;
  /** Element type as `ELEMENT_TYPES` of native/ort-api.ts names it, e.g. `float16`; undefined when it is no tensor. */
  readonly type: string | undefined;
  readonly shape: readonly (number | string)[];
}

export type IdType = "int64" | "int32";
export type FloatType = "float32" | "float16" | "bfloat16";

/** Throws `model_unsupported` for another type. */
export function idType(value: GraphValue): IdType {
  if (value.type === "int64" || value.type === "int32") return value.type;
  throw unsupportedGraph(`its input "${value.name}" is ${value.type ?? "no tensor"}, not int64 or int32`);
}

/** Throws `model_unsupported` for another type. */
export function floatType(value: GraphValue): FloatType {
  const { name, type } = value;
  if (type === "float32" || type === "float16" || type === "bfloat16") return type;
  throw unsupportedGraph(`its "${name}" is ${type ?? "no tensor"}, not float32, float16 or bfloat16`);
}

/** What the graph leaves open, config.json has to say. */
export function sizeOf(inGraph: number | string | undefined, inConfig: number | undefined, name: string): number {
  const size = typeof inGraph === "number" ? inGraph : inConfig;
  if (size !== undefined) return size;
  throw unsupportedGraph(`neither the graph nor config.json gives the size of "${name}"`);
}

export function unsupportedGraph(what: string): VitrineError {
  return new VitrineError("model_unsupported", `The graph is no decoder that vitrine can run: ${what}.`);
}
