import { bfloat16ToFloat32 } from "../../floats/bfloat16.js";
import { float16ToFloat32 } from "../../floats/float16.js";
import { type TensorProto, TensorProto_DataType } from "../onnx_pb.js";

/** A value of a graph for one example of its inputs. */
export interface SampleTensor {
  readonly shape: readonly number[];
  /** Row by row; undefined where only the shape is known. Booleans are 0 and 1. */
  readonly data: ArrayLike<number> | undefined;
  /** Division and casts cut fractions off. */
  readonly integer: boolean;
}

export function sampleTensor(shape: readonly number[], data: ArrayLike<number> | undefined, integer = true) {
  return { shape, data, integer } satisfies SampleTensor;
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** The value of a tensor of one number. */
export function scalarOf(tensor: SampleTensor | undefined): number | undefined {
  return tensor?.data?.length === 1 ? tensor.data[0] : undefined;
}

/** NumPy's rule; undefined where the shapes do not go together. */
export function broadcastShape(shapes: readonly (readonly number[])[]): number[] | undefined {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  const result: number[] = [];
  for (let axis = 0; axis < rank; axis++) {
    const sizes = shapes.map((shape) => shape[axis - rank + shape.length] ?? 1);
    const size = sizes.find((one) => one !== 1) ?? 1;
    if (sizes.some((one) => one !== 1 && one !== size)) return undefined;
    result.push(size);
  }
  return result;
}

/** How far apart neighbours along each axis are. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis--) {
    strides[axis] = (strides[axis + 1] as number) * (shape[axis + 1] as number);
  }
  return strides;
}

/** For the place of an element of `to`, the place of what it shows in a tensor of shape `from`. */
export function broadcastIndex(from: readonly number[], to: readonly number[]): (place: number) => number {
  if (sizeOf(from) === 1) return () => 0;
  if (sizeOf(from) === sizeOf(to)) return (place) => place;
  const strides = stridesOf(from).map((stride, axis) => (from[axis] === 1 ? 0 : stride));
  return stridedIndex(to, [...new Array<number>(to.length - from.length).fill(0), ...strides]);
}

/** For the place of an element of `shape`, the sum of its coordinates times `strides`, from `offset`. */
export function stridedIndex(
  shape: readonly number[],
  strides: readonly number[],
  offset = 0,
): (place: number) => number {
  return (place) => {
    let rest = place;
    let index = offset;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis] as number;
      index += (rest % size) * (strides[axis] as number);
      rest = Math.floor(rest / size);
    }
    return index;
  };
}

/** Elements of `source` in another order, or some of them, or some more than once. */
export function rearranged(
  source: SampleTensor,
  shape: readonly number[],
  index: (place: number) => number,
): SampleTensor {
  const { data, integer } = source;
  if (data === undefined) return { shape, data, integer };
  const size = sizeOf(shape);
  const result = new Float64Array(size);
  for (let place = 0; place < size; place++) result[place] = data[index(place)] as number;
  return { shape, data: result, integer };
}

type Reader = readonly [bytes: number, read: (buffer: ArrayBuffer) => ArrayLike<number>];

const READERS: Readonly<Record<number, Reader>> = {
  [TensorProto_DataType.BOOL]: [1, (buffer) => new Uint8Array(buffer)],
  [TensorProto_DataType.INT32]: [4, (buffer) => new Int32Array(buffer)],
  [TensorProto_DataType.INT64]: [8, (buffer) => Float64Array.from(new BigInt64Array(buffer), Number)],
  [TensorProto_DataType.FLOAT16]: [2, (buffer) => float16ToFloat32(new Uint16Array(buffer))],
  [TensorProto_DataType.BFLOAT16]: [2, (buffer) => bfloat16ToFloat32(new Uint16Array(buffer))],
  [TensorProto_DataType.FLOAT]: [4, (buffer) => new Float32Array(buffer)],
  [TensorProto_DataType.DOUBLE]: [8, (buffer) => new Float64Array(buffer)],
};

/** A constant of the graph; only its shape where the numbers are not in the message, or of another type. */
export function constantTensor({ dims, dataType, rawData }: TensorProto): SampleTensor {
  const shape = dims.map(Number);
  const integer = dataType === TensorProto_DataType.INT32 || dataType === TensorProto_DataType.INT64;
  const [bytes, read] = READERS[dataType] ?? [];
  if (read === undefined || rawData.length !== sizeOf(shape) * (bytes ?? 0)) return { shape, data: undefined, integer };
  // In memory of its own, as typed arrays want their alignment.
  return { shape, data: read(new Uint8Array(rawData).buffer), integer };
}
