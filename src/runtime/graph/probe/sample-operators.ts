import { attributeOf, integerOf } from "../node-attributes.js";
import {
  concat,
  expand,
  flatten,
  gather,
  listOf,
  type Operator,
  reshape,
  scatter,
  slice,
  squeeze,
  transpose,
  trilu,
  unsqueeze,
} from "./rearranging-operators.js";
import {
  broadcastIndex,
  broadcastShape,
  constantTensor,
  type SampleTensor,
  sampleTensor,
  scalarOf,
  sizeOf,
} from "./sample-tensor.js";

function reader({ data, shape: from }: SampleTensor, shape: readonly number[]): (place: number) => number {
  const index = broadcastIndex(from, shape);
  return (place) => data?.[index(place)] as number;
}

/** One number of each input, by NumPy's broadcasting, to one of the output. */
function elementwise(compute: (...numbers: number[]) => number, type: "same" | "boolean" | "float" = "same"): Operator {
  return (inputs) => {
    const shape = broadcastShape(inputs.map((input) => input.shape));
    if (shape === undefined) return undefined;
    const integer = type === "same" && (inputs.at(-1)?.integer ?? false);
    if (inputs.some(({ data }) => data === undefined)) return sampleTensor(shape, undefined, integer);
    const [a = () => 0, b = () => 0, c = () => 0] = inputs.map((input) => reader(input, shape));
    const data = new Float64Array(sizeOf(shape));
    for (let place = 0; place < data.length; place++) {
      // No array a number: a mask can have hundreds of thousands.
      const result = compute(a(place), b(place), c(place));
      data[place] = integer ? Math.trunc(result) : result;
    }
    return sampleTensor(shape, data, integer);
  };
}

const truth = (compute: (...numbers: number[]) => boolean): Operator =>
  elementwise((...numbers) => Number(compute(...numbers)), "boolean");

const range: Operator = (inputs) => {
  const [start, limit, step] = inputs.map(scalarOf);
  if (start === undefined || limit === undefined || step === undefined) return undefined;
  const length = Math.max(0, Math.ceil((limit - start) / step));
  const data = Float64Array.from({ length }, (_, index) => start + index * step);
  return sampleTensor([length], data, inputs[0]?.integer ?? true);
};

/** All axes where none are named. */
const reduceSum: Operator = ([input, axes], node) => {
  if (input?.data === undefined) return undefined;
  const { data, shape, integer } = input;
  const named = listOf(axes, node, "axes") ?? [...shape.keys()];
  const summed = new Set(named.map((axis) => (axis < 0 ? axis + shape.length : axis)));
  const kept = shape.map((size, axis) => (summed.has(axis) ? 1 : size));
  const sums = new Float64Array(sizeOf(kept));
  const sumOf = broadcastIndex(kept, shape);
  for (let place = 0; place < data.length; place++) {
    const at = sumOf(place);
    sums[at] = (sums[at] as number) + (data[place] as number);
  }
  const keepsAxes = integerOf(node, "keepdims") !== 0;
  return sampleTensor(keepsAxes ? kept : shape.filter((_, axis) => !summed.has(axis)), sums, integer);
};

const constantOfShape: Operator = ([shape], node) => {
  if (shape?.data === undefined) return undefined;
  const constant = attributeOf(node, "value")?.t;
  const value = constant && constantTensor(constant);
  const sizes = Array.from(shape.data);
  return sampleTensor(sizes, new Float64Array(sizeOf(sizes)).fill(scalarOf(value) ?? 0), value?.integer ?? false);
};

const constant: Operator = (_, node) => {
  const [value] = node.attribute;
  if (value?.name === "value" && value.t !== undefined) return constantTensor(value.t);
  if (value?.name === "value_int") return sampleTensor([], [Number(value.i)]);
  if (value?.name === "value_float") return sampleTensor([], [value.f], false);
  return value?.name === "value_ints" ? sampleTensor([value.ints.length], value.ints.map(Number)) : undefined;
};

const shapeOf: Operator = ([input], node) => {
  const shape = input?.shape.slice(integerOf(node, "start") ?? 0, integerOf(node, "end"));
  return shape && sampleTensor([shape.length], shape);
};

/** Types of Cast by ONNX's numbers: BOOL, INT32, INT64; the others keep fractions. */
const cast: Operator = ([input], node) => {
  if (input === undefined) return undefined;
  const to = integerOf(node, "to");
  if (to === 9) return truth((value) => value !== 0)([input], node);
  const integer = to === 6 || to === 7;
  return elementwise((value) => (integer ? Math.trunc(value) : value), "same")([{ ...input, integer }], node);
};

/**
 * What masks, positions, scales and shapes are made of, of ONNX's own operators. Enough for every exporter that was met;
 * an operator that is not here only means that a graph is not understood.
 */
export const SAMPLE_OPERATORS: Readonly<Record<string, Operator>> = {
  Add: elementwise((a = 0, b = 0) => a + b),
  And: truth((a, b) => a !== 0 && b !== 0),
  Cast: cast,
  Concat: concat,
  Constant: constant,
  ConstantOfShape: constantOfShape,
  // Of weights, and of those only the shape is needed.
  DequantizeLinear: ([input]) => input && sampleTensor(input.shape, undefined, false),
  Div: elementwise((a = 0, b = 0) => a / b),
  Equal: truth((a, b) => a === b),
  Expand: expand,
  Flatten: flatten,
  Gather: gather,
  Greater: truth((a = 0, b = 0) => a > b),
  GreaterOrEqual: truth((a = 0, b = 0) => a >= b),
  Identity: elementwise((a = 0) => a),
  IsNaN: truth((a) => Number.isNaN(a)),
  Less: truth((a = 0, b = 0) => a < b),
  LessOrEqual: truth((a = 0, b = 0) => a <= b),
  Max: elementwise((a = 0, b = 0) => Math.max(a, b)),
  Min: elementwise((a = 0, b = 0) => Math.min(a, b)),
  Mul: elementwise((a = 0, b = 0) => a * b),
  Neg: elementwise((a = 0) => -a),
  Not: truth((a) => a === 0),
  Or: truth((a, b) => a !== 0 || b !== 0),
  Pow: elementwise((a = 0, b = 0) => a ** b, "float"),
  Range: range,
  ReduceSum: reduceSum,
  Reshape: reshape,
  ScatterND: scatter,
  Shape: shapeOf,
  Slice: slice,
  Sqrt: elementwise(Math.sqrt, "float"),
  Squeeze: squeeze,
  Sub: elementwise((a = 0, b = 0) => a - b),
  Transpose: transpose,
  Trilu: trilu,
  Unsqueeze: unsqueeze,
  Where: elementwise((condition, a = 0, b = 0) => (condition !== 0 ? a : b)),
};
