import type { FloatType } from "../signature/graph-value.js";
import { bfloat16ToFloat32 } from "./bfloat16.js";
import { float16ToFloat32 } from "./float16.js";

/** Bytes of one value. */
export const FLOAT_BYTES: Readonly<Record<FloatType, number>> = { float32: 4, float16: 2, bfloat16: 2 };

/** Single precision of values, or of the bit patterns of half as wide ones; what is single precision already stays where it is. */
export function toFloat32(type: FloatType, data: Float32Array | Uint16Array): Float32Array {
  if (data instanceof Float32Array) return data;
  return type === "bfloat16" ? bfloat16ToFloat32(data) : float16ToFloat32(data);
}
