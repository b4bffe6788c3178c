import assert from "node:assert/strict";
import { checkOnnxRuntime, type OrtProbe } from "../../../src/doctor/onnxruntime.js";
import { cures, lines } from "./findings.js";

const WELL: OrtProbe = {
  telemetry: "1",
  loadKoffi: async () => ({}),
  selfTest: async () => ({ version: "1.30.0", providers: ["CUDAExecutionProvider", "CPUExecutionProvider"] }),
};

describe("doctor: ONNX Runtime", () => {
  it("tells its version and providers", async () => {
    assert.deepEqual(lines(await checkOnnxRuntime(WELL)), [
      "ok ONNX Runtime 1.30.0 ran a model through koffi",
      "ok its build knows the providers CUDA, CPU",
      "ok its telemetry is off",
    ]);
  });

  it("finds telemetry that is not off", async () => {
    const found = await checkOnnxRuntime({ ...WELL, telemetry: undefined });
    assert.equal(lines(found)[2], "problem its telemetry is not off");
    assert.match(cures(found)[0] ?? "", /ORT_DISABLE_TELEMETRY=1/);
  });

  it("tells why koffi does not load, and does not try what needs it", async () => {
    const found = await checkOnnxRuntime({
      ...WELL,
      loadKoffi: () => Promise.reject(new Error("Cannot find the native Koffi module;\n did you bundle it?")),
      selfTest: () => assert.fail("needs koffi"),
    });
    assert.equal(
      lines(found)[0],
      "problem koffi does not load: Cannot find the native Koffi module; did you bundle it?",
    );
    assert.match(cures(found)[0] ?? "", /npm ci/);
  });

  it("tells why the self-test failed", async () => {
    const found = await checkOnnxRuntime({
      ...WELL,
      selfTest: () => Promise.reject(new Error("It was ended by SIGSEGV.")),
    });
    assert.equal(lines(found)[0], "problem It was ended by SIGSEGV");
  });
});
