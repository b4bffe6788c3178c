import assert from "node:assert/strict";
import { float16ToFloat32 } from "../../../../src/runtime/floats/float16.js";

describe("float16ToFloat32", () => {
  const cases: [string, number, number][] = [
    ["zero", 0x0000, 0],
    ["minus zero", 0x8000, -0],
    ["one", 0x3c00, 1],
    ["minus two", 0xc000, -2],
    ["the largest finite value", 0x7bff, 65504],
    ["the smallest subnormal", 0x0001, 2 ** -24],
    ["the largest subnormal", 0x03ff, 1023 * 2 ** -24],
    ["the smallest normal", 0x0400, 2 ** -14],
    ["the half nearest a third", 0x3555, 0.333251953125],
    ["infinity", 0x7c00, Infinity],
    ["minus infinity", 0xfc00, -Infinity],
    ["not a number", 0x7e00, Number.NaN],
  ];
  for (const [name, bits, value] of cases) {
    it(`converts ${name}`, () => {
      assert.deepEqual(float16ToFloat32(Uint16Array.of(bits)), Float32Array.of(value));
    });
  }

  it("gives an array of its own for each call", () => {
    const bits = Uint16Array.of(0x3c00, 0x4000);
    const first = float16ToFloat32(bits);
    const second = float16ToFloat32(bits.subarray(1));
    assert.deepEqual([...first, ...second], [1, 2, 2]);
  });
});
