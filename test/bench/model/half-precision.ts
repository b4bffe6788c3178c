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
