/**
 * IEEE 754 half precision (binary16) to single, from bit patterns: Node 20 has no Float16Array.
 * All 65,536 values are tabulated at first use (256 KB), so a row of logits converts at one load an element.
 */
let table: Float32Array | undefined;

/** The values of half-precision bit patterns, in an array of their own. */
export function float16ToFloat32(bits: Uint16Array): Float32Array {
  table ??= buildTable();
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = table[bits[i] as number] as number;
  return values;
}

function buildTable(): Float32Array {
  const values = new Float32Array(0x10000);
  for (let bits = 0; bits < values.length; bits++) values[bits] = halfValue(bits);
  return values;
}

function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
