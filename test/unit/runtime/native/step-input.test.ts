import assert from "node:assert/strict";
import { NativeError, OrtEnvironment, OrtMemory, type OrtSession } from "../../../../native/ort.js";
import { type InputDevice, openInputDevice, StepInput } from "../../../../src/runtime/native/step-input.js";
import { type DevicePlace, devicePlace } from "../../../support/cache-places.js";
import { compiler } from "../../../support/compile-library.js";
import { type CudaStub, openCudaStub } from "../../../support/cuda-stub.js";
import { requirePart } from "../../../support/requirements.js";

describe("input of a step", () => {
  const environment = OrtEnvironment.open();
  let host: OrtMemory;
  before(() => {
    host = OrtMemory.cpu(environment);
  });
  after(() => host.dispose());

  it("is read where it is written, on the CPU", () => {
    const input = new StepInput({ host }, "int32", 6);
    input.data.set([1, 2, 3, 4, 5, 6]);
    const view = input.view(2, [3, 1]);
    assert.deepEqual([...view.data], [3, 4, 5]);
    input.data[3] = 40;
    assert.deepEqual([...view.data], [3, 40, 5]);
    assert.equal(input.copy(2, 3), undefined);
    for (const used of [view, input]) used.dispose();
  });

  it("has no device in a session on the CPU", () => {
    assert.equal(openInputDevice({ environment, stream: undefined } as Partial<OrtSession> as OrtSession), undefined);
  });

  describe("on a device", () => {
    let stub: CudaStub;
    let place: DevicePlace;
    let device: InputDevice;
    before(function () {
      requirePart(this, compiler());
      stub = openCudaStub();
    });
    beforeEach(() => {
      place = devicePlace(stub);
      const session = { environment, stream: place.stream, readsOnDevice: (name: string) => name === "ids" };
      device = openInputDevice(session as Partial<OrtSession> as OrtSession) as InputDevice;
    });
    afterEach(() => {
      device?.memory.dispose();
      place?.close();
    });

    it("arrives as far as it is sent, at the place that stays bound", () => {
      const input = new StepInput({ host, device: device.memory }, "int64", 5);
      const bound = input.view(0, [5]);
      const arrived = (): number[] => [...bound.read(0, 5)].map(Number);
      const send = (from: number, size: number): void => {
        const copy = input.copy(from, size);
        assert.ok(copy);
        device.send([copy]);
        // As a run does at its end.
        place.stream.synchronize();
      };
      input.data.set([1n, 2n, 3n, 4n, 5n]);
      send(0, 5);
      input.data.set([10n, 20n, 30n, 40n, 50n]);
      assert.deepEqual(arrived(), [1, 2, 3, 4, 5]);
      send(1, 2);
      assert.deepEqual(arrived(), [1, 20, 30, 4, 5]);
      for (const used of [bound, input]) used.dispose();
    });

    it("is sent with the others of a step, and none of them is waited for", () => {
      const inputs = [4, 2].map((size) => new StepInput({ host, device: device.memory }, "int32", size));
      const copies = inputs.map((input) => input.copy(0, 2)).filter((copy) => copy !== undefined);
      device.send(copies);
      const before = { copies: stub.count("cuMemcpyHtoDAsync_v2"), waits: stub.count("cuStreamSynchronize") };
      device.send(copies);
      assert.equal(stub.count("cuMemcpyHtoDAsync_v2") - before.copies, 2);
      // Before the first, for what ran since: by then nothing is left to wait for.
      assert.equal(stub.count("cuStreamSynchronize") - before.waits, 1);
      for (const input of inputs) input.dispose();
    });

    it("knows which inputs are read there", () => {
      assert.deepEqual([device.reads("ids"), device.reads("total")], [true, false]);
    });

    it("keeps nothing of what was begun when the device has no memory for it", () => {
      place.failAllocation(1, 1);
      assert.throws(
        () => new StepInput({ host, device: device.memory }, "int32", 4),
        (thrown: unknown) => thrown instanceof NativeError && thrown.code === "out_of_memory",
      );
    });
  });
});
