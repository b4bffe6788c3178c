import assert from "node:assert/strict";
import { bfloat16ToFloat32 } from "../../../src/runtime/floats/bfloat16.js";
import { float16ToFloat32 } from "../../../src/runtime/floats/float16.js";
import { brainBits, halfBits, stored } from "../../bench/model/half-precision.js";

const back = (value: number): number => float16ToFloat32(Uint16Array.of(halfBits(value)))[0] as number;

describe("half precision", () => {
  it("keeps every normal value that it has", () => {
    const normal = Uint16Array.from({ length: 0x7c00 - 0x400 }, (_, index) => index + 0x400);
    for (const [index, value] of float16ToFloat32(normal).entries()) {
      assert.equal(halfBits(value), normal[index]);
      assert.equal(halfBits(-value), (normal[index] as number) | 0x8000);
    }
  });

  it("rounds to the nearest, a tie to the even one", () => {
    assert.equal(back(1 + 1 / 2048), 1);
    assert.equal(back(1 + 3 / 2048), 1 + 1 / 512);
    assert.equal(back(1 + 1.01 / 2048), 1 + 1 / 1024);
    assert.equal(back(2 - 1e-7), 2);
  });
});

describe("brainBits", () => {
  it("gives back what is a bfloat16, and else the nearest, of two the even one", () => {
    const all = Uint16Array.from({ length: 0x7f80 }, (_, bits) => bits);
    for (const [index, value] of bfloat16ToFloat32(all).entries()) {
      assert.equal(brainBits(value), index);
      assert.equal(brainBits(-value), index | 0x8000);
    }
    assert.deepEqual([1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20].map(brainBits), [0x3f80, 0x3f82, 0x3f81]);
  });

  it("stores values in each format", () => {
    const values = Float32Array.of(1, -2);
    assert.deepEqual([...stored(values, "bfloat16")], [0x80, 0x3f, 0x00, 0xc0]);
    assert.deepEqual([...stored(values, "float16")], [0x00, 0x3c, 0x00, 0xc0]);
    assert.equal(stored(values, "float32").length, 8);
  });
});
