import { create } from "@bufbuild/protobuf";
import { makeNode } from "../node-attributes.js";
import { type NodeProto, type TensorProto, TensorProto_DataType, TensorProtoSchema } from "../onnx_pb.js";
import type { FusedAttention } from "./layer-attention.js";

const PREFIX = "vitrine/attention/";
/** `[batch]`, int32: tokens of each row before the last one that is fed. */
export const LENGTHS_OF_ROWS = `${PREFIX}lengths`;
const LONGEST = `${PREFIX}longest`;
const ONE = `${PREFIX}one`;
const FIRST = `${PREFIX}axis`;
const PACKED = `${PREFIX}packed_shape`;

/** What GroupQueryAttention takes lengths from, computed once: the sum of each row of the mask, and its width. */
export function lengthNodes(mask: string): NodeProto[] {
  const int32 = { to: BigInt(TensorProto_DataType.INT32) };
  return [
    makeNode("ReduceSum", [mask, FIRST], [`${PREFIX}sum`], { keepdims: 0n }),
    makeNode("Cast", [`${PREFIX}sum`], [`${PREFIX}tokens`], int32),
    makeNode("Sub", [`${PREFIX}tokens`, ONE], [LENGTHS_OF_ROWS]),
    makeNode("Shape", [mask], [`${PREFIX}mask_shape`]),
    makeNode("Gather", [`${PREFIX}mask_shape`, FIRST], [`${PREFIX}width`]),
    makeNode("Cast", [`${PREFIX}width`], [LONGEST], int32),
  ];
}

export function lengthConstants(): TensorProto[] {
  return [int32(ONE, 1), int64(FIRST, [1]), int64(PACKED, [0, 0, -1])];
}

/** One layer: its heads are side by side for the operator, and apart again after it. */
export function attentionNodes(attention: FusedAttention): NodeProto[] {
  const { query, key, value, output, heads, kvHeads, headDim, cacheType } = attention;
  const name = `${PREFIX}${key.present}/`;
  // Half-precision graphs may rotate, or multiply, in single precision.
  const cast = makeNode("Cast", [query], [`${name}cast_query`], { to: BigInt(cacheType) });
  const packed = [`${name}cast_query`, key.fresh, value.fresh].map((made, at) => {
    const base = `${name}${["query", "key", "value"][at]}`;
    return [
      makeNode("Transpose", [made], [`${base}_rows`], { perm: [0n, 2n, 1n, 3n] }),
      makeNode("Reshape", [`${base}_rows`, PACKED], [base]),
    ];
  });
  const inputs = [`${name}query`, `${name}key`, `${name}value`, key.past, value.past, LENGTHS_OF_ROWS, LONGEST];
  const { scale, softcap, window } = attention;
  const attributes = {
    num_heads: BigInt(heads),
    kv_num_heads: BigInt(kvHeads),
    scale,
    ...(softcap === 0 ? {} : { softcap }),
    ...(window === undefined ? {} : { local_window_size: BigInt(window) }),
  };
  const made = [`${name}output`, key.present, value.present];
  return [
    cast,
    ...packed.flat(),
    makeNode("com.microsoft.GroupQueryAttention", inputs, made, attributes),
    makeNode("Constant", [], [`${name}shape`], { value_ints: [0n, 0n, BigInt(heads), BigInt(headDim)] }),
    makeNode("Reshape", [`${name}output`, `${name}shape`], [output.output[0] ?? ""]),
  ];
}

function int64(name: string, values: readonly number[]): TensorProto {
  const rawData = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
  return create(TensorProtoSchema, {
    name,
    dataType: TensorProto_DataType.INT64,
    dims: [BigInt(values.length)],
    rawData,
  });
}

function int32(name: string, value: number): TensorProto {
  const rawData = new Uint8Array(Int32Array.of(value).buffer);
  return create(TensorProtoSchema, { name, dataType: TensorProto_DataType.INT32, rawData });
}
