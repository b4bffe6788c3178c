import { attributeOf, integerOf, integersOf } from "./node-attributes.js";
import type { NodeProto } from "./onnx_pb.js";
import {
  broadcastIndex,
  broadcastShape,
  constantTensor,
  rearranged,
  type SampleTensor,
  sampleTensor,
  scalarOf,
  sizeOf,
  stridedIndex,
  stridesOf,
} from "./sample-tensor.js";

/** Its inputs to its first output; undefined where it cannot tell. */
type Operator = (inputs: readonly SampleTensor[], node: NodeProto) => SampleTensor | undefined;

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

/** The same numbers in another shape. */
function reshaped(input: SampleTensor, shape: readonly number[] | undefined): SampleTensor | undefined {
  if (shape === undefined || sizeOf(shape) !== sizeOf(input.shape)) return undefined;
  return { ...input, shape };
}

/** A list that is an input in new operators and an attribute in old ones. */
function listOf(input: SampleTensor | undefined, node: NodeProto, attribute: string): number[] | undefined {
  return input?.data === undefined ? integersOf(node, attribute) : Array.from(input.data);
}

const fromEnd = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

const unsqueeze: Operator = ([input, axes], node) => {
  const list = listOf(axes, node, "axes");
  if (input === undefined || list === undefined) return undefined;
  const rank = input.shape.length + list.length;
  const added = new Set(list.map((axis) => fromEnd(axis, rank)));
  const rest = [...input.shape];
  const shape = Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : (rest.shift() ?? 1)));
  return reshaped(input, shape);
};

const squeeze: Operator = ([input, axes], node) => {
  if (input === undefined) return undefined;
  const list = listOf(axes, node, "axes")?.map((axis) => fromEnd(axis, input.shape.length));
  return reshaped(
    input,
    input.shape.filter((size, axis) => (list === undefined ? size !== 1 : !list.includes(axis))),
  );
};

const reshape: Operator = ([input, target]) => {
  if (input === undefined || target?.data === undefined) return undefined;
  const shape = Array.from(target.data, (size, axis) => (size === 0 ? (input.shape[axis] ?? 0) : size));
  const open = shape.indexOf(-1);
  if (open >= 0) shape[open] = -sizeOf(input.shape) / sizeOf(shape);
  return reshaped(input, shape);
};

const flatten: Operator = ([input], node) => {
  if (input === undefined) return undefined;
  const axis = fromEnd(integerOf(node, "axis") ?? 1, input.shape.length);
  return reshaped(input, [sizeOf(input.shape.slice(0, axis)), sizeOf(input.shape.slice(axis))]);
};

const expand: Operator = ([input, target]) => {
  if (input === undefined || target?.data === undefined) return undefined;
  const shape = broadcastShape([input.shape, Array.from(target.data)]);
  return shape && rearranged(input, shape, broadcastIndex(input.shape, shape));
};

const transpose: Operator = ([input], node) => {
  const perm = integersOf(node, "perm");
  if (input === undefined || perm === undefined) return undefined;
  const strides = stridesOf(input.shape);
  const shape = perm.map((axis) => input.shape[axis] as number);
  return rearranged(
    input,
    shape,
    stridedIndex(
      shape,
      perm.map((axis) => strides[axis] as number),
    ),
  );
};

const slice: Operator = ([input, starts, ends, axes, steps]) => {
  if (input === undefined || starts?.data === undefined || ends?.data === undefined) return undefined;
  const shape = [...input.shape];
  const strides = stridesOf(input.shape);
  let offset = 0;
  for (let at = 0; at < starts.data.length; at++) {
    const axis = fromEnd(axes?.data?.[at] ?? at, shape.length);
    const size = input.shape[axis] as number;
    // Backwards is nothing that masks or shapes need.
    if ((steps?.data?.[at] ?? 1) !== 1) return undefined;
    const bound = (place: number) => Math.min(Math.max(fromEnd(place, size), 0), size);
    const start = bound(starts.data[at] as number);
    shape[axis] = Math.max(0, bound(ends.data[at] as number) - start);
    offset += start * (strides[axis] as number);
  }
  return rearranged(input, shape, stridedIndex(shape, strides, offset));
};

const gather: Operator = ([input, indices], node) => {
  if (input === undefined || indices === undefined) return undefined;
  const axis = fromEnd(integerOf(node, "axis") ?? 0, input.shape.length);
  const size = input.shape[axis] as number;
  const after = sizeOf(input.shape.slice(axis + 1));
  const shape = [...input.shape.slice(0, axis), ...indices.shape, ...input.shape.slice(axis + 1)];
  const picked = indices.data;
  if (picked === undefined) return sampleTensor(shape, undefined, input.integer);
  if (Array.from(picked).some((index) => fromEnd(index, size) < 0 || index >= size)) return undefined;
  return rearranged(input, shape, (place) => {
    const before = Math.floor(place / (after * picked.length));
    const index = fromEnd(picked[Math.floor(place / after) % picked.length] as number, size);
    return (before * size + index) * after + (place % after);
  });
};

const concat: Operator = (inputs, node) => {
  const [first] = inputs;
  const axis = fromEnd(integerOf(node, "axis") ?? 0, first?.shape.length ?? 0);
  if (first === undefined) return undefined;
  const shape = first.shape.with(
    axis,
    inputs.reduce((sum, input) => sum + (input.shape[axis] as number), 0),
  );
  const { integer } = first;
  if (inputs.some(({ data }) => data === undefined)) return sampleTensor(shape, undefined, integer);
  const data: number[] = [];
  for (let row = 0; row < sizeOf(shape.slice(0, axis)); row++) {
    for (const input of inputs) {
      const width = sizeOf(input.shape.slice(axis));
      for (let at = row * width; at < (row + 1) * width; at++) data.push(input.data?.[at] as number);
    }
  }
  return sampleTensor(shape, data, integer);
};

const range: Operator = (inputs) => {
  const [start, limit, step] = inputs.map(scalarOf);
  if (start === undefined || limit === undefined || step === undefined) return undefined;
  const length = Math.max(0, Math.ceil((limit - start) / step));
  const data = Float64Array.from({ length }, (_, index) => start + index * step);
  return sampleTensor([length], data, inputs[0]?.integer ?? true);
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

const trilu: Operator = ([input, diagonal], node) => {
  if (input?.data === undefined) return undefined;
  const { data } = input;
  const [rows = 0, columns = 0] = input.shape.slice(-2);
  const upper = (integerOf(node, "upper") ?? 1) === 1;
  const above = scalarOf(diagonal) ?? 0;
  const kept = Array.from(data, (value, place) => {
    const distance = (place % columns) - (Math.floor(place / columns) % rows) - above;
    return (upper ? distance >= 0 : distance <= 0) ? value : 0;
  });
  return { ...input, data: kept };
};

const scatter: Operator = ([input, indices, updates]) => {
  if (input?.data === undefined || indices?.data === undefined || updates?.data === undefined) return undefined;
  const depth = indices.shape.at(-1) ?? 0;
  const strides = stridesOf(input.shape);
  const width = sizeOf(input.shape.slice(depth));
  const data = Float64Array.from(input.data);
  for (let row = 0; row * depth < indices.data.length; row++) {
    let start = 0;
    for (let axis = 0; axis < depth; axis++) {
      const index = fromEnd(indices.data[row * depth + axis] as number, input.shape[axis] as number);
      start += index * (strides[axis] as number);
    }
    for (let at = 0; at < width; at++) data[start + at] = updates.data[row * width + at] as number;
  }
  return { ...input, data };
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
