import assert from "node:assert/strict";
import { checkGpus, type WantedGpus } from "../../../src/doctor/gpu.js";
import type { GpuFacts, GpuProbe, LostGpu } from "../../../src/doctor/gpu-probe.js";
import { cures, lines } from "./findings.js";

const AUTO: WantedGpus = { deviceIds: [], auto: true, environment: {} };
const CUDA_1: WantedGpus = { deviceIds: [1], auto: false, environment: {} };
const H200: GpuFacts = {
  name: "NVIDIA H200",
  uuid: "GPU-aa",
  memoryTotal: 140 * 2 ** 30,
  memoryUsed: 40 * 2 ** 30,
  processes: [],
  throttled: ["gpu_idle"],
  eccUncorrected: 0,
  migEnabled: false,
};
const driver = (...gpus: readonly (GpuFacts | LostGpu)[]): GpuProbe => ({
  kind: "driver",
  driverVersion: "580.65.06",
  cudaVersion: "13.0",
  gpus,
});

describe("doctor: GPU", () => {
  it("tells driver, GPUs and their memory", () => {
    assert.deepEqual(lines(checkGpus(driver(H200), AUTO)), [
      "ok driver 580.65.06, for CUDA 13.0 and older",
      "ok GPU 0: NVIDIA H200, 100 GiB of 140 GiB free",
    ]);
  });

  it("is content without a driver unless a GPU is asked for", () => {
    assert.deepEqual(lines(checkGpus({ kind: "no-library" }, AUTO)), [
      "ok no NVIDIA driver: --device auto takes the CPU",
    ]);
    const found = checkGpus({ kind: "no-library" }, CUDA_1);
    assert.deepEqual(lines(found), ["problem there is no NVIDIA driver (libnvidia-ml.so.1)"]);
    assert.match(cures(found)[0] ?? "", /--gpus all/);
  });

  it("tells a driver that does not work, and one that knows no GPU", () => {
    const broken: GpuProbe = { kind: "broken", why: "NVML did not answer within 15 s" };
    assert.deepEqual(lines(checkGpus(broken, AUTO)), ["warning NVML did not answer within 15 s"]);
    assert.match(lines(checkGpus(broken, CUDA_1))[0] ?? "", /^problem the NVIDIA driver does not work/);
    assert.match(lines(checkGpus(driver(), AUTO))[0] ?? "", /^warning driver 580\.65\.06 knows no GPU/);
    assert.match(lines(checkGpus(driver(), CUDA_1))[0] ?? "", /^problem/);
  });

  it("finds that a device asked for is not there, or hidden", () => {
    assert.equal(lines(checkGpus(driver(H200), CUDA_1)).at(-1), "problem there is no cuda:1");
    assert.ok(!lines(checkGpus(driver(H200, H200), CUDA_1)).some((line) => line.startsWith("problem")));
    const hidden = { ...CUDA_1, environment: { CUDA_VISIBLE_DEVICES: "0" } };
    assert.deepEqual(lines(checkGpus(driver(H200, H200), hidden)).slice(-2), [
      "ok CUDA is shown these alone: CUDA_VISIBLE_DEVICES=0",
      "problem there is no cuda:1",
    ]);
  });

  it("tells a GPU that is lost, and whether that matters", () => {
    const lost = { lost: "GPU is lost" };
    assert.equal(lines(checkGpus(driver(H200, lost), AUTO)).at(-1), "warning GPU 1 does not answer: GPU is lost");
    assert.equal(lines(checkGpus(driver(H200, lost), CUDA_1)).at(-1), "problem GPU 1 does not answer: GPU is lost");
  });

  it("warns of a GPU that is slowed down, errs or is shared", () => {
    const poor = { ...H200, throttled: ["hw_thermal_slowdown", "sw_power_cap"], eccUncorrected: 2, processes: [7, 9] };
    assert.deepEqual(lines(checkGpus(driver(poor), AUTO)).slice(1), [
      "ok GPU 0: NVIDIA H200, 100 GiB of 140 GiB free, in use by process 7, 9",
      "warning GPU 0 is slowed down (hw_thermal_slowdown)",
      "warning GPU 0 had 2 uncorrected memory errors",
    ]);
    assert.match(lines(checkGpus(driver({ ...H200, migEnabled: true }), AUTO))[2] ?? "", /^ok GPU 0 is split into MIG/);
  });
});
