/**
 * bfloat16 to single precision, from bit patterns: it is the upper half of a float32, so every value, infinities and
 * what is not a number with its own bits too, is a shift. JavaScript has no type for it.
 */
export function bfloat16ToFloat32(bits: Uint16Array): Float32Array {
  const values = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = (bits[i] as number) << 16;
  return new Float32Array(values.buffer);
}
