/** The formats that a float is rounded to. */
export type FloatPrecision = "float32" | "float16" | "bfloat16";

const FLOAT = new Float32Array(1);
const BITS = new Uint32Array(FLOAT.buffer);

/** Nearest half precision (IEEE 754 binary16), ties to even, of a number whose size is below 65,520; tiny ones become 0. */
export function halfBits(value: number): number {
  FLOAT[0] = value;
  const bits = BITS[0] as number;
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 112;
  // Below the normal range: too small to matter among weights.
  if (exponent <= 0) return sign;
  const whole = (exponent << 10) | ((bits >>> 13) & 0x3ff);
  const rest = bits & 0x1fff;
  // A carry out of the fraction raises the exponent, as it should.
  return sign | (whole + (rest > 0x1000 || (rest === 0x1000 && whole & 1) ? 1 : 0));
}

/** Nearest bfloat16, ties to even, of a finite number: the upper half of a float32. */
export function brainBits(value: number): number {
  FLOAT[0] = value;
  const bits = BITS[0] as number;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** Values as a file stores them. */
export function stored(values: Float32Array<ArrayBuffer>, type: FloatPrecision): Uint8Array {
  const rounded = type === "float32" ? values : Uint16Array.from(values, type === "float16" ? halfBits : brainBits);
  return new Uint8Array(rounded.buffer);
}
