import assert from "node:assert/strict";
import type { OrtApi, Pointer } from "../../../native/ort-api.js";
import { check } from "../../../native/ort-library.js";

describe("a status of ONNX Runtime", () => {
  const thrown = (message: string): { code: string; message: string } => {
    const released: unknown[] = [];
    const api = { GetErrorCode: () => 1, GetErrorMessage: () => message, ReleaseStatus: () => released.push(0) };
    let caught: unknown;
    try {
      check(api as unknown as OrtApi, 1n as Pointer<"Status">, "run the model");
    } catch (error) {
      caught = error;
    }
    assert.equal(released.length, 1);
    return caught as { code: string; message: string };
  };
  const failure = (what: string): string =>
    `CUDA failure ${what} ; GPU=0 ; hostname=secret-host-7 ; file=/src/a.cc ; line=3 ; expr=cudaGetLastError(); `;

  it("does not tell clients the machine's name", () => {
    const { code, message } = thrown(failure("700: an illegal memory access was encountered"));
    assert.equal(code, "failed");
    assert.match(
      message,
      /^ONNX Runtime could not run the model: CUDA failure 700: an illegal .* ; GPU=0 ; file=.* expr=/,
    );
    assert.doesNotMatch(message, /secret|hostname/);
    assert.doesNotMatch(thrown("CUDA failure 1 ; hostname=secret").message, /secret/);
  });

  it("says that memory ran out where those are the words", () => {
    assert.equal(thrown(failure("2: out of memory")).code, "out_of_memory");
  });
});
