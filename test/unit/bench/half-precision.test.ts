import assert from "node:assert/strict";
import { float16ToFloat32 } from "../../../src/runtime/float16.js";
import { halfBits } from "../../bench/model/half-precision.js";

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
