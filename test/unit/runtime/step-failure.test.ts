import assert from "node:assert/strict";
import { CudaStream, NativeError } from "../../../native/ort.js";
import { VitrineError } from "../../../src/errors.js";
import { stepFailure, workOn } from "../../../src/runtime/step-failure.js";

describe("a failed step", () => {
  const well = { synchronize: () => {} };
  const lost = {
    synchronize: () => {
      throw new NativeError("device_lost", "CUDA could not finish what was queued.");
    },
  };
  const failed = new NativeError("failed", "ONNX Runtime could not run the model: CUDA failure 700.");
  const told = (cause: unknown, stream?: typeof well): [code: string, message: string] => {
    const { code, message } = stepFailure(cause, stream);
    return [code, message];
  };

  it("costs its requests alone where the device goes on, and on the CPU", () => {
    assert.deepEqual(told(failed, well), ["inference_failed", failed.message]);
    assert.deepEqual(told(failed), ["inference_failed", failed.message]);
    assert.equal(told(new NativeError("out_of_memory", "No room."), well)[0], "out_of_memory");
  });

  it("costs the process where the device says that it does not", () => {
    const message = "The GPU is lost to the engine process, which ends: CUDA could not finish what was queued.";
    assert.deepEqual(told(failed, lost), ["engine_lost", message]);
    assert.deepEqual(told(new NativeError("out_of_memory", "No room."), lost), ["engine_lost", message]);
  });

  it("costs no process where there is no driver to ask, or no memory to ask with", () => {
    for (const code of ["library", "out_of_memory"] as const) {
      const silent = {
        synchronize: () => {
          throw new NativeError(code, "Nobody knows.");
        },
      };
      assert.deepEqual(told(failed, silent), ["inference_failed", failed.message]);
    }
  });

  it("is asked of a driver on CUDA alone, by a runner without a stream", () => {
    const { open } = CudaStream;
    const asked: string[] = [];
    const work = { synchronize: () => void asked.push("wait"), dispose: () => void asked.push("dispose") };
    try {
      CudaStream.open = (device) => {
        asked.push(`open ${device}`);
        return work as unknown as CudaStream;
      };
      workOn({ requested: "cuda:1", provider: "cuda", deviceId: 1, reason: "" })?.synchronize();
    } finally {
      CudaStream.open = open;
    }
    assert.deepEqual(asked, ["open 1", "wait", "dispose"]);
    assert.equal(workOn({ requested: "cpu", provider: "cpu", reason: "" }), undefined);
  });

  it("costs the process where a copy failed, after which nobody knows what is in the cache", () => {
    const copy = new NativeError("device_lost", "CUDA could not copy on the device.");
    assert.deepEqual(told(copy, well)[0], "engine_lost");
  });

  it("is what it is where it was said already", () => {
    const error = new VitrineError("inference_failed", "A step was planned wrongly.");
    assert.equal(stepFailure(error, lost), error);
  });
});
