import { integerOf, integersOf } from "../node-attributes.js";
import type { NodeProto } from "../onnx_pb.js";
import {
  broadcastIndex,
  broadcastShape,
  rearranged,
  type SampleTensor,
  sampleTensor,
  scalarOf,
  sizeOf,
  stridedIndex,
  stridesOf,
} from "./sample-tensor.js";

/** Its inputs to its first output; undefined where it cannot tell. */
export type Operator = (inputs: readonly SampleTensor[], node: NodeProto) => SampleTensor | undefined;

/** The same numbers in another shape. */
function reshaped(input: SampleTensor, shape: readonly number[] | undefined): SampleTensor | undefined {
  if (shape === undefined || sizeOf(shape) !== sizeOf(input.shape)) return undefined;
  return { ...input, shape };
}

/** A list that is an input in new operators and an attribute in old ones. */
export function listOf(input: SampleTensor | undefined, node: NodeProto, attribute: string): number[] | undefined {
  return input?.data === undefined ? integersOf(node, attribute) : Array.from(input.data);
}

const fromEnd = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

export const unsqueeze: Operator = ([input, axes], node) => {
  const list = listOf(axes, node, "axes");
  if (input === undefined || list === undefined) return undefined;
  const rank = input.shape.length + list.length;
  const added = new Set(list.map((axis) => fromEnd(axis, rank)));
  const rest = [...input.shape];
  const shape = Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : (rest.shift() ?? 1)));
  return reshaped(input, shape);
};

export const squeeze: Operator = ([input, axes], node) => {
  if (input === undefined) return undefined;
  const list = listOf(axes, node, "axes")?.map((axis) => fromEnd(axis, input.shape.length));
  return reshaped(
    input,
    input.shape.filter((size, axis) => (list === undefined ? size !== 1 : !list.includes(axis))),
  );
};

export const reshape: Operator = ([input, target]) => {
  if (input === undefined || target?.data === undefined) return undefined;
  const shape = Array.from(target.data, (size, axis) => (size === 0 ? (input.shape[axis] ?? 0) : size));
  const open = shape.indexOf(-1);
  if (open >= 0) shape[open] = -sizeOf(input.shape) / sizeOf(shape);
  return reshaped(input, shape);
};

export const flatten: Operator = ([input], node) => {
  if (input === undefined) return undefined;
  const axis = fromEnd(integerOf(node, "axis") ?? 1, input.shape.length);
  return reshaped(input, [sizeOf(input.shape.slice(0, axis)), sizeOf(input.shape.slice(axis))]);
};

export const expand: Operator = ([input, target]) => {
  if (input === undefined || target?.data === undefined) return undefined;
  const shape = broadcastShape([input.shape, Array.from(target.data)]);
  return shape && rearranged(input, shape, broadcastIndex(input.shape, shape));
};

export const transpose: Operator = ([input], node) => {
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

export const slice: Operator = ([input, starts, ends, axes, steps]) => {
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
  // Most cut nothing off; a mask of the longest sequence is large, and every layer has its own.
  if (sizeOf(shape) === sizeOf(input.shape)) return input;
  return rearranged(input, shape, stridedIndex(shape, strides, offset));
};

export const gather: Operator = ([input, indices], node) => {
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

export const concat: Operator = (inputs, node) => {
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

export const trilu: Operator = ([input, diagonal], node) => {
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

export const scatter: Operator = ([input, indices, updates]) => {
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
