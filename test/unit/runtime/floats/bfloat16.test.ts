import assert from "node:assert/strict";
import { bfloat16ToFloat32 } from "../../../../src/runtime/floats/bfloat16.js";
import { FLOAT_BYTES, toFloat32 } from "../../../../src/runtime/floats/floats.js";

const ALL = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits);

/** By the format's definition: a sign, 8 bits of exponent, 7 of fraction. */
function defined(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 7) & 0xff;
  const fraction = bits & 0x7f;
  if (exponent === 0xff) return fraction === 0 ? sign * Infinity : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -133;
  return sign * (1 + fraction / 128) * 2 ** (exponent - 127);
}

describe("bfloat16ToFloat32", () => {
  it("gives all 65,536 values: subnormals, both zeros, infinities and what is no number", () => {
    const values = bfloat16ToFloat32(ALL);
    for (const bits of ALL) {
      const [value, expected] = [values[bits], defined(bits)];
      assert.ok(Object.is(value, expected), `0x${bits.toString(16)}: ${value}, not ${expected}`);
    }
  });

  it("keeps every bit, those of what is no number too", () => {
    const bits = new Uint32Array(bfloat16ToFloat32(ALL).buffer);
    assert.deepEqual(
      bits,
      Uint32Array.from(ALL, (upper) => upper * 0x10000),
    );
  });

  it("reads a view from its own start, into an array of its own", () => {
    const row = Uint16Array.of(0x3f80, 0x4000, 0xc040);
    const [first, second] = [bfloat16ToFloat32(row.subarray(1)), bfloat16ToFloat32(row)];
    assert.deepEqual([...first, ...second], [2, -3, 1, 2, -3]);
  });
});

describe("toFloat32", () => {
  it("tells the two formats of 16 bits apart", () => {
    const bits = Uint16Array.of(0x3c00);
    assert.deepEqual(toFloat32("float16", bits), Float32Array.of(1));
    assert.deepEqual(toFloat32("bfloat16", bits), Float32Array.of(0.0078125));
  });

  it("leaves single precision where it is", () => {
    const values = Float32Array.of(1, 2);
    assert.equal(toFloat32("float32", values), values);
  });

  it("knows what each takes", () => {
    assert.deepEqual(FLOAT_BYTES, { float32: 4, float16: 2, bfloat16: 2 });
  });
});
