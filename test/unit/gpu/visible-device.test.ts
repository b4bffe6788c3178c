import assert from "node:assert/strict";
import { visibleDevice } from "../../../src/gpu/visible-device.js";

const gpu = (uuid: string, name = "NVIDIA H200") => ({ uuid: `GPU-${uuid}`, name });
const ALIKE = [gpu("aa11"), gpu("aa22"), gpu("bb33"), gpu("cc44")];
const MIXED = [gpu("aa11", "NVIDIA T4"), gpu("aa22", "NVIDIA H200")];
const nobody = (): undefined => assert.fail("CUDA need not be asked");

const visible = (deviceId: number, devices: string) =>
  visibleDevice(deviceId, ALIKE, { CUDA_VISIBLE_DEVICES: devices }, nobody);

describe("which GPU a CUDA device is", () => {
  it("is the one of that index where all are visible and alike", () => {
    assert.equal(visibleDevice(2, ALIKE, {}, nobody), 2);
    assert.equal(visibleDevice(4, ALIKE, {}, nobody), undefined);
  });

  it("follows CUDA_VISIBLE_DEVICES", () => {
    assert.equal(visible(0, "3,1"), 3);
    assert.equal(visible(1, "3, 1"), 1);
    assert.equal(visible(0, "GPU-bb33"), 2);
    assert.equal(visible(0, "MIG-GPU-8932f937/1/0"), "MIG-GPU-8932f937/1/0");
  });

  it("takes a beginning of a UUID that only one has", () => {
    assert.equal(visible(0, "GPU-b"), 2);
    assert.equal(visible(0, "GPU-aa"), undefined);
    assert.equal(visible(0, "GPU-dd"), undefined);
  });

  it("is none for a hidden device", () => {
    assert.equal(visible(0, ""), undefined);
    assert.equal(visible(0, "-1"), undefined);
    assert.equal(visible(1, "0"), undefined);
    assert.equal(visible(1, "0,-1,1"), undefined);
    assert.equal(visible(0, "7"), undefined);
  });

  it("is CUDA's own answer where GPUs differ, since CUDA lists the fastest first", () => {
    const asked: number[] = [];
    const cuda = (deviceId: number) => {
      asked.push(deviceId);
      return "aa22";
    };
    assert.equal(visibleDevice(0, MIXED, {}, cuda), 1);
    assert.equal(visibleDevice(0, MIXED, { CUDA_VISIBLE_DEVICES: "1" }, cuda), 1);
    assert.deepEqual(asked, [0, 0]);
  });

  it("is none rather than a guess where CUDA cannot be asked", () => {
    assert.equal(
      visibleDevice(0, MIXED, {}, () => undefined),
      undefined,
    );
  });

  it("needs no answer where GPUs differ but are ordered by PCI address or named by UUID", () => {
    assert.equal(visibleDevice(0, MIXED, { CUDA_DEVICE_ORDER: "PCI_BUS_ID" }, nobody), 0);
    assert.equal(visibleDevice(0, MIXED, { CUDA_VISIBLE_DEVICES: "GPU-aa2" }, nobody), 1);
  });
});
